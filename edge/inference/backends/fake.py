"""A backend that runs nothing: the mean brightness picks the class. For tests and for trying the live loop.

Only used when asked for by name. It stands in for any model file, without opening it.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from edge.inference.backends.base import ON_CPU, ModelFile, closed
from edge.vision.tensor import TensorSpec

__all__ = ["FakeBackend", "load", "version"]


class FakeBackend:
    """Answers class ``brightness * classes / 256`` after a set time."""

    name = "fake"
    conditions = ON_CPU
    version = "fake 1"

    def __init__(self, *, resolution: int = 128, classes: int = 10, latency_ms: float = 0.0, threads: int = 1) -> None:
        self.threads, self.latency_ms = threads, latency_ms
        self.input_spec = TensorSpec(shape=(1, resolution, resolution, 3), dtype="int8", scale=1 / 127.5, zero_point=-1)
        self.output_spec = TensorSpec(shape=(1, classes), dtype="int8", scale=1 / 256, zero_point=-128)
        self._input = np.zeros(self.input_spec.shape, np.int8)
        self._output = np.full((1, classes), -128, np.int8)
        self._is_open = True

    def input(self) -> NDArray[np.generic]:
        """The input buffer."""
        self._check_open()
        return self._input

    def infer(self) -> NDArray[np.generic]:
        """One class with probability 255/256, by the mean of the input."""
        self._check_open()
        if self.latency_ms:
            time.sleep(self.latency_ms / 1000)
        brightness = float(self._input.mean()) + 128
        self._output[:] = -128
        self._output[0, int(brightness * self._output.shape[1] / 256)] = 127
        return self._output

    def close(self) -> None:
        """Refuse further work."""
        self._is_open = False

    def _check_open(self) -> None:
        if not self._is_open:
            raise closed(self.name)


def load(model: ModelFile, threads: int) -> FakeBackend:
    """A fake with the variant's input and the bundle's classes."""
    return FakeBackend(resolution=model.variant.resolution, classes=model.classes, threads=threads)


def version() -> str:
    """The backend's name and version."""
    return FakeBackend.version
