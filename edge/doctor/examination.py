"""The examination: every check, in the order of the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from edge.doctor import cameras, hardware, jetson, opencv, python, runtime, state
from edge.doctor.environment import Surroundings
from edge.doctor.finding import Finding

__all__ = ["CHECKS", "examine"]

CHECKS: Final[tuple[Callable[[Surroundings], Iterator[Finding]], ...]] = (
    python.interpreter,
    python.c_library,
    python.environment,
    runtime.numpy,
    opencv.opencv,
    runtime.backends,
    state.bundles,
    jetson.jetpack,
    jetson.tensorrt,
    jetson.cuda_bindings,
    jetson.engines,
    jetson.integers,
    cameras.cameras,
    cameras.ribbon_camera,
    cameras.groups,
    opencv.display,
    hardware.throttling,
    hardware.heat,
    hardware.clocks,
    jetson.power,
    hardware.memory,
    hardware.disk,
    state.clock,
    state.profiles,
    state.service,
    state.channel,
)
"""Every check, in the order of the report; one may find nothing, or several things."""


def examine(surroundings: Surroundings | None = None) -> tuple[Finding, ...]:
    """Look at everything the runtime needs.

    Args:
        surroundings: The machine; this one without it.

    Returns:
        What was found, in the order of :data:`CHECKS`.
    """
    around = surroundings or Surroundings()
    return tuple(finding for check in CHECKS for finding in check(around))
