"""The profile of a bundle's next version, known before it has run: another training of the same networks.

A network's time depends on its shape, not on its weights. So a variant that both versions have takes what it took; one
that only the new version has is predicted from the others (:mod:`edge.profiling.prediction`). Every row is marked as
predicted, and none is stored: the next start measures.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from edge.bundles.bundle import Bundle
from edge.bundles.manifest import BundledVariant
from edge.errors import ProfileError
from edge.profiling.prediction import predict
from edge.profiling.profile import LatencyProfile, ProfileRow

__all__ = ["predict_successor"]

_NEAR: Final = 0.05


def predict_successor(profile: LatencyProfile, bundle: Bundle, successor: Bundle) -> LatencyProfile:
    """The profile of ``successor`` on the same board, by that of ``bundle``.

    Args:
        profile: The profile of ``bundle``.
        bundle: The version that was measured, or itself predicted so.
        successor: Another version.

    Returns:
        A profile of the variants for which there is something to go by: all of them in most cases.

    Raises:
        ProfileError: There is nothing to go by: no variant is the same, and too few are known to predict from.
    """
    carried = {e.variant: row for e in successor.variants if (row := _carried(profile, bundle, e)) is not None}
    wanted = {entry.variant for entry in successor.variants}
    others = [row for row in profile.rows if row.variant not in wanted]
    complete = [replace(row, provenance="measured") for row in (*carried.values(), *others) if _is_complete(row)]
    rows = carried
    if len(carried) < len(successor.variants):
        try:
            predicted = predict(replace(profile, rows=tuple(complete)), successor)
            rows = {row.variant: row for row in predicted.rows} | carried
        except ProfileError:
            if not carried:
                raise
    found = [replace(rows[e.variant], provenance="predicted") for e in successor.variants if e.variant in rows]
    if not found:
        raise ProfileError(f"Cannot tell how fast bundle {successor.name} is: none of its networks has been measured.")
    return replace(profile, bundle=successor.name, rows=tuple(found))


def _carried(profile: LatencyProfile, bundle: Bundle, entry: BundledVariant) -> ProfileRow | None:
    """The row of a variant of the new version, if the old one has the same network in a file of the same kind."""
    row = profile.find(entry.variant)
    old = next((known for known in bundle.variants if known.variant == entry.variant), None)
    if row is None or row.model_sha256 is None or old is None or not _is_near(old.mult_adds, entry.mult_adds):
        return None
    file = old.artifact_of(row.model_sha256)
    new = None if file is None else entry.artifact(file.format, file.precision)
    return None if new is None else replace(row, model_sha256=new.sha256)


def _is_near(one: int, other: int) -> bool:
    """Whether two networks cost the same, but for a few classes more or less."""
    return abs(one - other) <= _NEAR * max(one, other)


def _is_complete(row: ProfileRow) -> bool:
    """Whether a row has all that a measured one has."""
    return row.latency.is_complete and None not in (row.infer_ms, row.peak_rss_mb, row.num_threads, row.model_sha256)
