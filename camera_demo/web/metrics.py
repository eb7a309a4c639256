"""Metrics for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from camera_demo.events import Event
from camera_demo.frames import Result
from camera_demo.web.answer_metrics import AnswerMetrics
from camera_demo.web.board_metrics import BoardMetrics
from camera_demo.web.hub import Hub
from edge.profiling.equal_board import EqualBoard

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

_PREFIX: Final = "camera_demo"
_BUCKETS_S: Final = (0.002, 0.005, 0.01, 0.02, 0.033, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


class Metrics(Collector):
    """Counts answers as they come; everything else is read when the metrics are collected."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._of_board = BoardMetrics(hub.run_state)
        self._answers = self._late = 0
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)
        self._of_labels = AnswerMetrics(hub.run_state.camera, self.registry)
        self._answer_s = self._histogram("capture_to_answer_seconds", "From the capture of a frame to its answer.")
        self._infer_s = self._histogram("inference_seconds", "The model alone, without preprocessing.")

    def count(self, result: Result) -> None:
        """Count one answer. Called by the loop's thread."""
        self._answers += 1
        self._late += result.is_late
        self._answer_s.observe(result.answer_ms / 1e3)
        if not result.is_kept:
            self._infer_s.observe(result.prediction.infer_ms / 1e3)
        self._of_labels.count(result)

    def count_event(self, event: Event) -> None:
        """Count the begin of an event, and note its end. Called by the loop's thread."""
        self._of_labels.count_event(event)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """Everything that is not counted answer by answer."""
        yield CounterMetricFamily(f"{_PREFIX}_answers", "Frames that were classified.", self._answers)
        yield CounterMetricFamily(f"{_PREFIX}_late", "Answers that took longer than the budget.", self._late)
        yield GaugeMetricFamily(f"{_PREFIX}_watchers", "Streams that are being sent.", self._hub.watchers)
        yield from self._of_answer()
        yield from self._of_source()
        yield from self._of_control()
        yield from self._of_board.collect()

    def _of_answer(self) -> Iterator[Metric]:
        result = self._hub.result
        if result is not None:
            yield CounterMetricFamily(
                f"{_PREFIX}_dropped", "Frames that a newer one replaced while the model was busy.", result.dropped
            )
            yield GaugeMetricFamily(f"{_PREFIX}_fps", "Answers per second, recent average.", result.fps)
            info = {"variant": result.variant, "backend": result.backend}
            yield InfoMetricFamily(f"{_PREFIX}_active", "Variant and backend in use.", info)

    def _of_source(self) -> Iterator[Metric]:
        status = self._hub.run_state.source.now
        yield GaugeMetricFamily(f"{_PREFIX}_source_up", "1 while the source gives frames.", status.state == "live")
        yield CounterMetricFamily(f"{_PREFIX}_source_losses", "Times the source was lost.", status.losses)

    def _of_control(self) -> Iterator[Metric]:
        control = self._hub.run_state.control
        if control is not None:
            yield GaugeMetricFamily(f"{_PREFIX}_budget_seconds", "Latency budget.", control.budget_ms / 1e3)
            yield CounterMetricFamily(f"{_PREFIX}_variant_changes", "Times the variant was changed.", control.switches)
            if control.slowdown is not None:
                text = "Latency of the last second as a multiple of the profile's."
                yield GaugeMetricFamily(f"{_PREFIX}_slowdown", text, control.slowdown)
            if control.equal is not None:
                yield _equal_ratios(control.equal)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(f"{_PREFIX}_{name}", text, buckets=_BUCKETS_S, registry=self.registry)


def _equal_ratios(equal: EqualBoard) -> Metric:
    text = "Medians when this board was checked against its equal, as multiples of that board's."
    found = GaugeMetricFamily(f"{_PREFIX}_equal_ratio", text, labels=["equal", "variant"])
    for variant, ratio in equal.ratios.items():
        found.add_metric([equal.host, variant], ratio)
    return found
