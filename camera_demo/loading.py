"""From a bundle to a tested classifier, and to what people may ask of it while it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import edge
from camera_demo.control import AnyClassifier, Control, options_of
from camera_demo.settings import Settings
from edge.board.affinity import default_threads
from edge.budget import Budget
from edge.bundles.bundle import Bundle
from edge.bundles.variant import Variant
from edge.console import progress_bar
from edge.control.adaptive import AdaptiveClassifier
from edge.inference.classifier import Classifier
from edge.inference.selftest import self_test
from edge.profiling.profile import LatencyProfile
from edge.selection import select

__all__ = ["load"]

_SMOOTHED: Final = 10
"""Classes of each answer that are averaged, however few are shown."""


def load(
    bundle: Bundle, budget: Budget, settings: Settings, announce: Callable[[str], None]
) -> tuple[AnyClassifier, Control]:
    """Load what answers: one variant where it was named, else all that may be needed to keep the budget.

    Each gets the bundle's golden pictures first.

    Raises:
        SelfTestError: A variant gives wrong answers.
        NoVariantFits: No variant is within the budget by this machine's profile.
        BackendError: No backend works.
        BundleError: The bundle does not have the variant.
    """
    threads = settings.threads or default_threads()
    profile = None if settings.variant is not None else _profile(bundle, settings, threads, announce)
    classifier = _open(bundle, budget, settings, threads, profile)
    try:
        for each in [classifier] if isinstance(classifier, Classifier) else classifier.classifiers.values():
            self_test(bundle, each)
    except BaseException:
        classifier.close()
        raise
    for refusal in classifier.refusals:
        announce(f"Fell back to {classifier.backend.name}. {refusal.backend}: {refusal.reason}")
    if profile is not None:
        chosen = select(bundle, profile, budget).chosen
        latency = "" if chosen.latency_ms is None else f": {budget.percentile} {chosen.latency_ms:.2f} ms"
        announce(f"Using {chosen.variant.name}{latency} within the budget of {budget.latency_ms:.2f} ms.")
    return classifier, Control(classifier, budget, options_of(bundle, profile))


def _profile(bundle: Bundle, settings: Settings, threads: int, announce: Callable[[str], None]) -> LatencyProfile:
    with progress_bar(f"profiling {bundle.name}") as progress:
        return edge.profile(bundle, backend=settings.backend, threads=threads, progress=progress, announce=announce)


def _open(
    bundle: Bundle, budget: Budget, settings: Settings, threads: int, profile: LatencyProfile | None
) -> AnyClassifier:
    top_k = max(settings.top_k, _SMOOTHED) if settings.smoothing else settings.top_k
    if profile is None:
        variant = Variant.parse(settings.variant or "")
        return Classifier(bundle, variant, backend=settings.backend, threads=threads, top_k=top_k)
    select(bundle, profile, budget)  # says no, and why, before models are loaded
    return AdaptiveClassifier(bundle, profile, budget, backend=settings.backend, threads=threads, top_k=top_k)
