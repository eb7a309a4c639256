"""This package: ``convert.quantization`` and ``to_tflite``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.quantizers.task import Task, read_task

if TYPE_CHECKING:
    from convert.quantization import FoldedNetwork

__all__ = ["write"]


def write(network: FoldedNetwork, pixels: NDArray[np.uint8], out: Path, *, are_synthetic: bool = False) -> None:
    """Quantize ``network``, calibrated on ``pixels`` (count, ρ, ρ, 3) RGB, photos or drawn ones; write the file."""
    from convert.export.tflite import to_tflite
    from convert.quantization import equalize, quantize
    from edge.vision.preprocess import Preprocessing

    recipe = Preprocessing()
    equalized = equalize(network, pixels, recipe)
    out.write_bytes(to_tflite(quantize(equalized, pixels, recipe, are_synthetic=are_synthetic)))


def main(task: Task) -> None:
    """Read the checkpoint, quantize it and write it."""
    from convert.checkpoints import load_checkpoint
    from convert.quantization import fold

    write(fold(load_checkpoint(task.checkpoint).model), task.pixels, task.out)


if __name__ == "__main__":
    main(read_task())
