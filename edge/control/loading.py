"""Load the variants that a run may change to, each on as many threads as it has in the profile, and on fewer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from edge.board.memory import rss_mb
from edge.bundles.variant import Variant
from edge.inference.backends.base import ON_CPU
from edge.inference.classifier import Classifier
from edge.operating_points import OperatingPoint, efficient
from edge.vision.preprocess import Frame

__all__ = ["LoadedVariants", "load_variants"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedVariants:
    """What was loaded."""

    classifiers: dict[Variant, Classifier]
    on_fewer_threads: dict[Variant, Classifier]
    """The same on half as many threads: without those that have one thread, that memory has no room for, or whose
    threads do not matter."""
    left_out: dict[Variant, str]
    """Why each other variant was not loaded."""

    def classifier(self, variant: Variant, *, has_fewer_threads: bool) -> Classifier:
        """The one to use now."""
        own = self.classifiers[variant]
        return self.on_fewer_threads.get(variant, own) if has_fewer_threads else own

    def close(self) -> None:
        """Free every model."""
        for classifier in (*self.classifiers.values(), *self.on_fewer_threads.values()):
            classifier.close()


def load_variants(
    points: Sequence[OperatingPoint],
    start: Variant,
    limit_mb: float,
    threads_of: Callable[[Variant], int],
    open_with: Callable[[Variant, int], Classifier],
    blank: Frame,
    *,
    may_have_fewer: bool,
) -> LoadedVariants:
    """Load what memory has room for; the variant to begin with and the fastest in any case.

    Args:
        points: What may be loaded, fastest first.
        start: The variant to begin with.
        limit_mb: What all together may take.
        threads_of: The threads of a variant.
        open_with: Opens a variant with so many threads.
        blank: What each classifies once, so that the first real frame is not slow and all memory is taken.
        may_have_fewer: Whether to load variants with fewer threads as well.
    """
    loaded = LoadedVariants(classifiers={}, on_fewer_threads={}, left_out={})
    before_mb = rss_mb()
    with ExitStack() as opened:

        def load(variant: Variant, threads: int) -> Classifier:
            classifier = opened.enter_context(open_with(variant, threads))
            classifier.classify(blank)
            return classifier

        for variant in _by_need(points, start):
            taken_mb = rss_mb() - before_mb
            if taken_mb >= limit_mb and variant not in (start, points[0].variant):
                loaded.left_out[variant] = f"the others take {taken_mb:.0f} of {limit_mb:.0f} MB"
                continue
            loaded.classifiers[variant] = load(variant, threads_of(variant))
        for variant, own in loaded.classifiers.items():
            fewer = threads_of(variant) // 2 if may_have_fewer and own.backend.conditions == ON_CPU else 0
            if fewer and rss_mb() - before_mb < limit_mb:
                loaded.on_fewer_threads[variant] = load(variant, fewer)
        opened.pop_all()
    return loaded


def _by_need(points: Sequence[OperatingPoint], start: Variant) -> list[Variant]:
    """The order of loading: where to begin, the fastest, the rest of the front from its best on, then the others."""
    front = efficient(points)
    first = [point for point in front if point.variant == start]
    return list(dict.fromkeys(point.variant for point in [*first, front[0], *reversed(front), *points]))
