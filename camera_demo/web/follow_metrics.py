"""Metrics of the channel that a board follows: which version it has, which is meant for it, and which it found bad."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric

from edge.fleet.state import FollowState, parse_time

__all__ = ["follow_metrics"]

_MOST_BAD: Final = 10
"""Versions that become time series: the latest."""


def follow_metrics(state: FollowState | None) -> Iterator[Metric]:
    """Every metric of a board that follows a channel; none of one that does not."""
    if state is None:
        return
    names = {"channel": state.channel or "", "ring": state.ring or ""}
    info = {"installed": state.in_use, "latest": state.latest or "", "phase": state.phase}
    yield InfoMetricFamily("mobilenet_edge_update", "The version in use, and the one for this board.", names | info)
    yield GaugeMetricFamily(
        "mobilenet_edge_update_pending", "1 while a version is meant for the board that it has not.", state.is_pending
    )
    bad = GaugeMetricFamily(
        "mobilenet_edge_update_bad", "1 for each version that did the board no good.", labels=(*names, "version")
    )
    for one in state.bad[-_MOST_BAD:]:
        bad.add_metric((*names.values(), one.version), 1)
    yield bad
    for name, text, moment in (
        ("follow_checked", "When the follower last took a step.", state.checked),
        ("update_phase_started", "When the phase began.", state.since),
        ("channel_expires", "When the channel's file expires.", state.expires),
    ):
        if (seconds := _seconds(moment)) is not None:
            yield GaugeMetricFamily(f"mobilenet_edge_{name}_timestamp_seconds", text, seconds)


def _seconds(moment: str | None) -> float | None:
    """Seconds since 1970; None where it is not known."""
    try:
        return parse_time(moment).timestamp() if moment else None
    except (ValueError, OverflowError):
        return None
