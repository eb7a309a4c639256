"""How far a builder is: TensorRT reports phases within phases, a user wants one share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Phases", "new_monitor"]


class Phases:
    """The phases now at work, outermost first."""

    def __init__(self, progress: Callable[[str, float], None]) -> None:
        self._progress = progress
        self._running: dict[str, tuple[int, int]] = {}
        self._share = 0.0

    def start(self, name: str, steps: int) -> None:
        """A phase of ``steps`` steps begins within those that run."""
        self._running[name] = (0, max(1, steps))
        self._report(name)

    def step(self, name: str, step: int) -> None:
        """A phase has done its step number ``step``, counted from 0."""
        if name in self._running:
            self._running[name] = (step + 1, self._running[name][1])
            self._report(name)

    def finish(self, name: str) -> None:
        """A phase has ended."""
        self._running.pop(name, None)

    def _report(self, name: str) -> None:
        share, part = 0.0, 1.0
        for done, steps in self._running.values():
            share += part * min(1.0, done / steps)
            part /= steps
        self._share = max(self._share, min(1.0, share))  # several outermost phases follow each other: never back
        self._progress(name, self._share)


def new_monitor(trt: Any, progress: Callable[[str, float], None]) -> Any:
    """A TensorRT progress monitor that calls ``progress``; its class can only be made once ``trt`` is there."""
    phases = Phases(progress)

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            phases.start(phase_name, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            phases.step(phase_name, step)
            return True

        def phase_finish(self, phase_name: str) -> None:
            phases.finish(phase_name)

    return Monitor()
