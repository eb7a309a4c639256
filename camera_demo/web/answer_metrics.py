"""Metrics of what was seen: answers and events by label, and how sure the answers were; per camera and region."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from camera_demo.events import Event
from camera_demo.frames import Result

__all__ = ["OTHER", "AnswerMetrics"]

OTHER: Final = "other"
"""What all labels beyond the first fifty are counted as: each label is a time series that Prometheus keeps."""
_MOST_LABELS: Final = 50
_CONFIDENCES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
_PLACE: Final = ("camera", "region")


class AnswerMetrics:
    """Counts answers and events. For one thread; the client library escapes the labels."""

    def __init__(self, camera: str, registry: CollectorRegistry) -> None:
        """Begin to count for the camera of this name."""
        self._camera = camera
        self._labels: set[str] = set()

        def counter(name: str, text: str, *more: str) -> Counter:
            return Counter(f"camera_demo_{name}", text, (*_PLACE, *more), registry=registry)

        self._by_label = counter("labels", "Answers by label, unknown and not sure among them.", "label")
        self._unknown = counter("unknown", "Answers that are unknown.")
        self._kept = counter("kept", "Answers that were kept, because nothing had changed.")
        self._events = counter("events", "Events that began, by label.", "label")
        self._active = Gauge(
            "camera_demo_event_active", "1 while an event lasts.", (*_PLACE, "label"), registry=registry
        )
        self._confidence = Histogram(
            "camera_demo_confidence",
            "Probability of the most probable class, known or not.",
            _PLACE,
            buckets=_CONFIDENCES,
            registry=registry,
        )

    def count(self, result: Result) -> None:
        """Count one answer."""
        place = self._camera, result.region_name
        self._by_label.labels(*place, self._bounded(result.label)).inc()
        self._confidence.labels(*place).observe(result.prediction.best.probability)
        self._unknown.labels(*place).inc(result.is_unknown)
        self._kept.labels(*place).inc(result.is_kept)

    def count_event(self, event: Event) -> None:
        """Count the begin of an event, and note its end."""
        names = self._camera, event.region, self._bounded(event.label)
        if not event.is_over:
            self._events.labels(*names).inc()
        self._active.labels(*names).set(0 if event.is_over else 1)

    def _bounded(self, label: str) -> str:
        if label not in self._labels and len(self._labels) >= _MOST_LABELS:
            return OTHER
        self._labels.add(label)
        return label
