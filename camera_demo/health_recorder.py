"""A minute of answers after the other, for the board's health record: :mod:`edge.fleet.health_record`."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np

from camera_demo.frames import Result
from camera_demo.source_status import SourceStatus
from edge.board.device import read_line
from edge.board.health import Health
from edge.bundles.bundle import Bundle
from edge.fleet.health_minute import MOST_LABELS, OTHER, HealthMinute, VariantMinute, is_hot
from edge.fleet.health_record import add_minute, last_minute
from edge.fleet.timestamps import timestamp
from edge.profiling.profile import LatencyProfile

__all__ = ["HealthRecorder"]

_log = logging.getLogger(__name__)

_MINUTE_S: Final = 60.0
_HOUR_S: Final = 3600.0
_MOST_WAITING: Final = 120
"""Minutes that are kept in memory while the disk takes none."""


@dataclass(slots=True)
class _Counts:
    """What is counted of a minute."""

    began_s: float
    frames: int = 0
    late: int = 0
    unknown: int = 0
    confidence_sum: float = 0.0
    labels: Counter[str] = field(default_factory=Counter)
    times_ms: dict[str, array[float]] = field(default_factory=dict)
    up_s: float = 0.0
    seen_s: float = 0.0
    is_hot: bool = False
    temperature_c: float | None = None
    loads: list[float] = field(default_factory=list)


class HealthRecorder:
    """Counts answers and writes a line a minute; also a context manager.

    :meth:`add` belongs to the loop's thread, :meth:`on_health` to the health sampler's, which also does the writing.
    A disk that is full or read-only is logged once, and what it did not take is written when it does again.
    """

    def __init__(
        self,
        path: Path,
        camera: str,
        source: SourceStatus,
        *,
        on_minute: Callable[[HealthMinute], None] = lambda minute: None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        root: Path = Path("/"),
    ) -> None:
        """Begin for a camera; :meth:`begin` writes the first line.

        Args:
            path: The record.
            camera: What the camera is called.
            source: Whether it gives frames.
            on_minute: Called with each minute when it is over, whether the disk takes it or not; it must not block.
            clock: Seconds, monotonic.
            wall_clock: Seconds since 1970.
            root: Where ``proc`` is.
        """
        self._path, self._camera, self._source = path, camera, source
        self._on_minute, self._clock, self._wall_clock = on_minute, clock, wall_clock
        self._boot = (read_line(root / "proc/sys/kernel/random/boot_id") or "")[:8]
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._counts = _Counts(clock())
        self._bundle: Bundle | None = None
        self._profile: dict[str, float] = {}
        self._profile_due_s = self._cut_due_s = -float("inf")
        self._restarts, self._refused, self._is_running = 0, "", False
        self._waiting: deque[HealthMinute] = deque(maxlen=_MOST_WAITING)
        self._has_failed = False

    def begin(self, bundle: Bundle) -> None:
        """Note that the program has started, before anything else: one that dies of a bundle leaves a line."""
        last = last_minute(self._path, self._camera)
        self._restarts = int(last is not None and last.boot == self._boot != "" and not last.stopped)
        self._bundle = bundle
        self._end_minute()
        self._write()

    def uses(self, bundle: Bundle, profile: LatencyProfile | None) -> None:
        """Count the answers from now on for a bundle. What came before is a minute of its own. Writes nothing yet."""
        if self._is_running:
            self._end_minute()
        rows = () if profile is None else profile.rows
        p95_ms = {row.variant.name: row.latency.nearest("p95")[1] for row in rows}
        with self._lock:
            self._counts = _Counts(self._clock())
            self._bundle, self._is_running = bundle, True
            self._profile = {name: round(value, 3) for name, value in p95_ms.items() if value is not None}
            self._profile_due_s = -float("inf")

    def refuse(self, version: str, reason: str) -> None:
        """Note that a version that is active could not be loaded; the empty version for none any more."""
        self._refused = f"{version}: {reason}" if version else ""
        if self._is_running and version:
            self._end_minute()
            self._write()

    def add(self, result: Result) -> None:
        """Count one answer."""
        with self._lock:
            counts = self._counts
            counts.frames += 1
            counts.late += result.is_late
            counts.unknown += result.is_unknown
            probability = result.prediction.best.probability
            counts.confidence_sum += probability if 0.0 <= probability <= 1.0 else 0.0  # not a number, of a bad model
            counts.labels[result.label] += 1
            if not result.is_kept:
                times_ms = counts.times_ms.get(result.variant)
                if times_ms is None:
                    times_ms = counts.times_ms[result.variant] = array("d")
                times_ms.append(result.prediction.total_ms)

    def on_health(self, health: Health) -> None:
        """Note a sample of the board and the camera, and write the minute when it is over."""
        now_s, is_up = self._clock(), self._source.now.state == "live"
        with self._lock:
            counts = self._counts
            past_s = max(0.0, now_s - counts.began_s - counts.seen_s)
            counts.seen_s += past_s
            counts.up_s += past_s if is_up else 0.0
            counts.is_hot |= is_hot(health)
            if health.temperature_c is not None:
                counts.temperature_c = max(counts.temperature_c or health.temperature_c, health.temperature_c)
            if health.load_percent is not None:
                counts.loads.append(max(0.0, health.load_percent))
        if self._is_running and now_s - counts.began_s >= _MINUTE_S:
            self._end_minute()
        self._write()

    def close(self, *, is_wanted: bool = True) -> None:
        """Write what the minute has so far.

        Args:
            is_wanted: Whether the program was asked to end, so that its next start is not counted against the bundle.
        """
        if self._bundle is not None and (self._is_running or is_wanted):
            self._end_minute(is_last=is_wanted)
            self._write()
        self._bundle, self._is_running = None, False

    def __enter__(self) -> HealthRecorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(is_wanted=kind is None or not issubclass(kind, Exception))

    def _end_minute(self, *, is_last: bool = False) -> None:
        """Let what was counted wait to be written, and begin again."""
        now_s = self._clock()
        with self._lock:
            counts, self._counts = self._counts, _Counts(now_s)
            bundle = self._bundle
        if bundle is None:
            return
        try:
            minute = self._minute(counts, bundle, now_s, is_last)
        except ValueError as reason:  # the record ends no loop, whatever a sensor or a model says
            _log.warning("A minute of the health record is left out: %s.", reason, extra={"event": "record_failed"})
            return
        self._waiting.append(minute)
        self._restarts = 0
        self._on_minute(minute)

    def _minute(self, counts: _Counts, bundle: Bundle, now_s: float, is_last: bool) -> HealthMinute:
        profile = self._profile if now_s >= self._profile_due_s else {}
        if profile:
            self._profile_due_s = now_s + _HOUR_S
        common = counts.labels.most_common(MOST_LABELS)
        labels = dict(common)
        if rest := counts.frames - sum(labels.values()):
            labels[OTHER] = labels.get(OTHER, 0) + rest
        frames, seconds = counts.frames, now_s - counts.began_s if self._is_running else 0.0
        up_s = counts.up_s if counts.seen_s else seconds * (frames > 0)
        return HealthMinute(
            ended=timestamp(datetime.fromtimestamp(self._wall_clock(), timezone.utc)),
            seconds=round(seconds, 1),
            camera=self._camera,
            bundle=bundle.name,
            version=bundle.version,
            frames=frames,
            late=counts.late,
            unknown=counts.unknown,
            confidence=round(min(1.0, counts.confidence_sum / frames), 4) if frames else None,
            variants={name: _of_variant(times_ms) for name, times_ms in counts.times_ms.items()},
            profile_p95_ms=profile,
            labels=labels,
            source_up=round(min(1.0, up_s / (counts.seen_s or seconds or 1.0)), 3),
            restarts=self._restarts,
            hot=counts.is_hot,
            temperature_c=counts.temperature_c,
            load_percent=round(sum(counts.loads) / len(counts.loads), 1) if counts.loads else None,
            refused=self._refused,
            boot=self._boot,
            stopped=is_last,
        )

    def _write(self) -> None:
        """Write the minutes that wait."""
        with self._writing:
            self._write_alone(self._clock())

    def _write_alone(self, now_s: float) -> None:
        try:
            while self._waiting:
                is_due, minute = now_s >= self._cut_due_s, self._waiting[0]
                add_minute(self._path, minute, cut=is_due)
                with contextlib.suppress(ValueError):  # meanwhile too many waited
                    self._waiting.remove(minute)
                self._cut_due_s = now_s + _HOUR_S if is_due else self._cut_due_s
        except OSError as reason:
            if not self._has_failed:
                _log.warning(
                    "The health record is not written (%s); it goes on in memory.",
                    reason,
                    extra={"event": "record_failed"},
                )
            self._has_failed = True
        else:
            self._has_failed = False


def _of_variant(times_ms: array[float]) -> VariantMinute:
    return VariantMinute(frames=len(times_ms), p95_ms=round(float(np.percentile(times_ms, 95)), 3))
