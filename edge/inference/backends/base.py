"""What every backend is given, and what it must do: show its input, infer, close."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.bundles.variant import Variant
from edge.vision.tensor import TensorSpec

__all__ = ["ON_CPU", "Backend", "Conditions", "ModelFile"]


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One model file of a bundle, as a backend is asked to load it."""

    path: Path
    variant: Variant
    classes: int
    sha256: str = ""
    """As the bundle's manifest has it; backends that keep derived files find them by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What one :meth:`Backend.infer` does besides the network; latencies compare only where this is alike."""

    includes_transfers: bool
    """Whether the picture is copied to another memory and the answer back; False where both are used where they are."""
    cuda_graph: bool
    """Whether the work is launched as one recorded CUDA graph."""


ON_CPU: Final = Conditions(includes_transfers=False, cuda_graph=False)
"""The conditions of every backend that runs on the CPU."""


class Backend(Protocol):
    """One loaded model, ready to run.

    A frame goes through in three steps: write into :meth:`input`, call :meth:`infer`, read what it returns before
    the next call.
    """

    name: str
    """The backend's name in :data:`edge.inference.backends.BACKENDS`."""
    version: str
    """The runtime's name and version: ``ai-edge-litert 2.3.0``."""
    threads: int
    conditions: Conditions
    input_spec: TensorSpec
    output_spec: TensorSpec

    def input(self) -> NDArray[np.generic]:
        """A writable view of the input tensor, good until :meth:`close`."""

    def infer(self) -> NDArray[np.generic]:
        """Run the model on what the input holds.

        Returns:
            The output tensor as the file has it (integers, if it is quantized), valid until the next call.

        Raises:
            BackendError: The runtime failed.
        """

    def close(self) -> None:
        """Free the model. A second call does nothing."""
