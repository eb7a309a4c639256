"""What every backend is given, and what it must do: show its input, infer, close."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.bundles.variant import Variant
from edge.errors import BackendError
from edge.vision.tensor import TensorSpec

__all__ = ["ON_CPU", "Backend", "Conditions", "ModelFile", "closed", "first_line", "import_runtime"]


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
        """A writable view of the input tensor, valid until :meth:`close`.

        Raises:
            BackendError: The backend is closed.
        """

    def infer(self) -> NDArray[np.generic]:
        """Run the model on what the input holds.

        Returns:
            The output tensor as the file has it (integers, if it is quantized), valid until the next call.

        Raises:
            BackendError: The runtime failed, or the backend is closed.
        """

    def close(self) -> None:
        """Free the model. A second call does nothing."""


def closed(name: str) -> BackendError:
    """The error of a backend that is used after :meth:`Backend.close`."""
    return BackendError(f"the {name} backend is closed: load the model again.")


def first_line(error: BaseException) -> str:
    """The first line of an error's message; its class where it has none."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def import_runtime(module: str) -> ModuleType:
    """Import a runtime, which a broken binary ends in any exception: one for another CPU, NumPy or C library.

    Raises:
        BackendError: It cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise BackendError(first_line(error)) from error
