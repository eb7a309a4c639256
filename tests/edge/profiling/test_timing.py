"""Timing: warm-up until it is steady, variants in turn, an end when the figures are precise enough."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from edge.bundles.variant import Variant
from edge.inference.backends.fake import FakeBackend
from edge.inference.classifier import Classifier
from edge.profiling.timing import PER_ROUND, StopRule, run_rounds, timing_frames, warm_up
from edge.vision.preprocess import Preprocessing

BIG, SMALL = Variant(1.0, 224), Variant(0.25, 128)
FRAMES = timing_frames(2, (64, 48))
LABELS = tuple("0123456789")


class Clock:
    """Stands still but for what is added."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The resolutions of every inference, in turn."""
    seen: list[int] = []
    infer = FakeBackend.infer

    def noted(self: FakeBackend) -> np.ndarray:
        seen.append(self.input_spec.resolution)
        return infer(self)

    monkeypatch.setattr(FakeBackend, "infer", noted)
    return seen


@pytest.fixture
def pair() -> Iterator[dict[Variant, Classifier]]:
    yield {
        v: Classifier.of_backend(FakeBackend(resolution=v.resolution), LABELS, Preprocessing(), variant=v)
        for v in (BIG, SMALL)
    }


class TestWarmUp:
    def times(self, clock: Clock, times_s: Iterator[float]) -> int:
        def run() -> None:
            clock.now_s += next(times_s)

        return warm_up(run, most_s=100.0, clock=clock)

    def test_ends_when_runs_no_longer_get_faster(self) -> None:
        falling = itertools.chain([0.1] * 5, [0.08] * 5, [0.05] * 5, itertools.repeat(0.04))
        assert self.times(Clock(), falling) == 5 * (4 + 3)

    def test_of_a_steady_model_is_short(self) -> None:
        assert self.times(Clock(), itertools.repeat(0.01)) == 5 * (1 + 3)

    def test_of_one_that_never_settles_ends_with_the_time(self) -> None:
        clock = Clock()
        ever_faster = (10.0 * 0.9**n for n in itertools.count())
        self.times(clock, ever_faster)
        assert 95 < clock.now_s < 150


def test_variants_take_turns_in_changing_order(pair: dict[Variant, Classifier], order: list[int]) -> None:
    timed = run_rounds(pair, FRAMES, StopRule(least_rounds=30, most_s=60.0, precision=1e9))
    assert [len(one.rounds) for one in timed.values()] == [30, 30]
    last = order[-30 * 2 * (PER_ROUND + 1) :]
    turns = [resolution for resolution, _ in itertools.groupby(last)]
    lengths = {len(list(group)) for _, group in itertools.groupby(last)}
    assert lengths <= {PER_ROUND + 1, 2 * (PER_ROUND + 1)}, "five frames that count after one that does not"
    first_of_round = last[:: 2 * (PER_ROUND + 1)]
    assert {224, 128} == set(first_of_round) == set(turns)


def test_it_ends_when_the_figures_are_sure(pair: dict[Variant, Classifier]) -> None:
    timed = run_rounds(pair, FRAMES, StopRule(least_rounds=3, most_s=60.0, precision=1e9))
    assert len(timed[BIG].rounds) == 5, "looked at every fifth round"


def test_it_ends_with_the_time_however_unsure(pair: dict[Variant, Classifier]) -> None:
    timed = run_rounds(pair, FRAMES, StopRule(least_rounds=3, most_s=0.2, precision=0.0))
    assert 1 <= len(timed[BIG].rounds) < 5000


def test_even_no_time_gives_one_round(pair: dict[Variant, Classifier]) -> None:
    timed = run_rounds(pair, FRAMES, StopRule(most_s=0.0))
    assert [len(one.rounds) for one in timed.values()] == [1, 1]


def test_progress_rises_to_the_end(pair: dict[Variant, Classifier]) -> None:
    reported: list[tuple[str, float]] = []
    run_rounds(
        pair,
        FRAMES,
        StopRule(least_rounds=3, most_s=60.0, precision=1e9),
        progress=lambda *report: reported.append(report),
    )
    assert {stage for stage, _ in reported} == {"timing"}
    shares = [share for _, share in reported]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_frames_to_time_with_are_the_same_every_time() -> None:
    first, second = (timing_frames(2, (64, 48)) for _ in range(2))
    assert [frame.shape for frame in first] == [(48, 64, 3)] * 2
    assert first[0].dtype == np.uint8
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first[0], first[1])
