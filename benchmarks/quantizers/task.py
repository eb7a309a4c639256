"""What every tool is given: the same checkpoint, the same float network as ONNX, the same pictures."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["Task", "read_task"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """One network to quantize."""

    checkpoint: Path
    """Keras Applications' ``.h5``."""
    onnx: Path
    """The same network in float, batch norm folded: input (1, 3, ρ, ρ), RGB of -1 to 1."""
    pixels: NDArray[np.uint8]
    """Calibration pictures (count, ρ, ρ, 3) RGB."""
    alpha: float
    out: Path

    @property
    def side(self) -> int:
        """Height and width ρ of the input in pixels."""
        return int(self.pixels.shape[1])

    def pictures(self) -> Iterator[NDArray[np.float32]]:
        """Normalized calibration pictures, one at a time: float32 (1, ρ, ρ, 3), -1 to 1."""
        for picture in self.pixels:
            yield (picture[None].astype(np.float32) - 127.5) / 127.5


def read_task() -> Task:
    """The task that the command line names."""
    parser = argparse.ArgumentParser()
    for name in ("checkpoint", "onnx", "pixels", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--alpha", type=float, default=1.0)
    options = parser.parse_args()
    return Task(
        checkpoint=options.checkpoint,
        onnx=options.onnx,
        pixels=np.load(options.pixels),
        alpha=options.alpha,
        out=options.out,
    )
