"""What a run is said to take: steps that only warm up do not count."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from convert.training import estimate
from edge.bundles.variant import Variant

VARIANTS = (Variant(1.0, 224), Variant(0.25, 128))


class Clock:
    """A clock that steps move on: the first ones, which warm up, by much."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, cold: int) -> None:
        self.seconds, self.taken, self._cold = 0.0, 0, cold
        monkeypatch.setattr("time.perf_counter", lambda: self.seconds)

    def steps(self, most: int) -> Iterator[float]:
        for self.taken in range(1, most + 1):
            self.seconds += 12.0 if self.taken <= self._cold else 0.1
            yield 1.0


def trial(clock: Clock, device: str, steps: int) -> Any:
    return SimpleNamespace(
        device=torch.device(device), recipe=SimpleNamespace(steps=steps), batch=64, steps=lambda: clock.steps(steps)
    )


@pytest.mark.parametrize(("device", "cold", "taken"), [("cpu", 1, 3), ("cuda", 16, 18)])
def test_steps_that_warm_up_do_not_count(monkeypatch: pytest.MonkeyPatch, device: str, cold: int, taken: int) -> None:
    clock = Clock(monkeypatch, cold=cold)
    found = estimate.estimated(trial(clock, device, 140), VARIANTS, 10)
    assert found.seconds == pytest.approx(14.0)
    assert clock.taken == taken


@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_a_short_run_on_a_gpu_is_estimated_from_what_it_has(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    clock = Clock(monkeypatch, cold=max(1, steps - 2))
    found = estimate.estimated(trial(clock, "cuda", steps), VARIANTS, 10)
    assert clock.taken <= steps
    assert found.seconds == pytest.approx(0.1 * steps if steps > 1 else 0.0)


def test_the_progress_never_goes_back_nor_past_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[float] = []
    clock = Clock(monkeypatch, cold=16)
    estimate.estimated(trial(clock, "cuda", 140), VARIANTS, 10, lambda stage, share: shares.append(share))
    assert shares == sorted(shares) and shares[0] == 0.0 and shares[-1] == 1.0
