"""Metrics of the board, for one among many: what it is, what runs on it, how warm it is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Final

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric

import edge
from camera_demo.run_state import RunState
from camera_demo.web.follow_metrics import follow_metrics
from edge.board.device import describe
from edge.board.health import Health

__all__ = ["BoardMetrics"]

_THROTTLED_NOW: Final = 0xF
"""The bits of ``vcgencmd get_throttled`` for the present."""


class BoardMetrics:
    """Reads the state of a run each time that it is asked."""

    def __init__(self, run_state: RunState) -> None:
        self._run_state = run_state

    def collect(self) -> Iterator[Metric]:
        """Every metric of the board."""
        yield InfoMetricFamily("mobilenet_edge_board", "The board, and what runs on it.", self._info())
        yield from follow_metrics(self._run_state.follow)
        refused = GaugeMetricFamily(
            "mobilenet_edge_bundle_refused", "1 for an active version that cannot be loaded.", labels=["version"]
        )
        if self._run_state.refused is not None:
            refused.add_metric([self._run_state.refused[0]], 1)
        yield refused
        health = self._run_state.health
        if health.temperature_c is not None:
            yield GaugeMetricFamily("camera_demo_temperature_celsius", "Hottest thermal zone.", health.temperature_c)
        if health.limit_c is not None:
            yield GaugeMetricFamily(
                "camera_demo_temperature_limit_celsius", "Where this zone slows the board down.", health.limit_c
            )
        if (throttled := _is_throttled(health)) is not None:
            yield GaugeMetricFamily("camera_demo_throttled", "1 while the board is throttled.", throttled)

    def _info(self) -> dict[str, str]:
        bundle, follow = self._run_state.bundle, self._run_state.follow
        return {
            "board": follow.board_id if follow else "",
            "group": (follow.group if follow else None) or "",
            "model": self._model,
            "software": edge.__version__,
            "bundle": bundle.name if bundle else "",
            "version": bundle.version if bundle else "",
        }

    @cached_property
    def _model(self) -> str:
        return describe().board_slug


def _is_throttled(health: Health) -> bool | None:
    """Whether firmware or kernel holds a clock down now; None before the first sample."""
    if health == Health():
        return None
    return bool((health.throttle_bits or 0) & _THROTTLED_NOW) or bool(health.held_back)
