"""The thread count: a default, or the fastest."""

from __future__ import annotations

import psutil
import pytest

from edge.board import affinity
from edge.board.affinity import default_threads
from edge.bundles.variant import Variant
from edge.inference.backends.fake import FakeBackend
from edge.inference.classifier import Classifier
from edge.profiling.threads import MOST_THREADS, fastest_threads
from edge.profiling.timing import timing_frames
from edge.vision.preprocess import Preprocessing


@pytest.mark.parametrize(
    ("cores", "usable", "quota", "count"),
    [
        (None, 8, None, 1),
        (1, 1, None, 1),
        (2, 2, None, 2),
        (4, 4, None, 4),
        (64, 64, None, 4),
        (4, 2, None, 2),
        (4, 4, 2.0, 2),
        (4, 4, 2.9, 2),
        (4, 4, 0.5, 1),
        (4, 2, 3.0, 2),
    ],
)
def test_the_default_is_the_physical_cores_that_may_be_used_but_four_at_most(
    monkeypatch: pytest.MonkeyPatch, cores: int | None, usable: int, quota: float | None, count: int
) -> None:
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: cores)
    monkeypatch.setattr(affinity, "usable_cpus", lambda: tuple(range(usable)))
    monkeypatch.setattr(affinity, "cpu_quota", lambda: quota)
    assert default_threads() == count


@pytest.mark.parametrize(
    ("times_ms", "best"),
    [
        ({1: 8.0, 2: 4.0, 3: 3.0, 4: 2.0}, 4),
        ({1: 8.0, 2: 4.0, 3: 8.0, 4: 8.0}, 2),
        ({1: 4.0, 2: 3.98, 3: 3.99, 4: 4.0}, 1),
    ],
)
def test_the_fastest_count_wins_and_of_equal_ones_the_smallest(
    backend_clock: None, times_ms: dict[int, float], best: int
) -> None:
    def open_with(count: int) -> Classifier:
        backend = FakeBackend(latency_ms=times_ms[count])
        return Classifier.of_backend(backend, tuple("0123456789"), Preprocessing(), variant=Variant(0.25, 128))

    assert fastest_threads(open_with, timing_frames(1, (64, 48)), 4) == best


def test_no_more_than_eight_are_tried() -> None:
    tried: list[int] = []

    def open_with(count: int) -> Classifier:
        tried.append(count)
        return Classifier.of_backend(FakeBackend(), tuple("0123456789"), Preprocessing(), variant=Variant(0.25, 128))

    fastest_threads(open_with, timing_frames(1, (64, 48)), 64)
    assert tried == list(range(1, MOST_THREADS + 1))
