"""LiteRT, once TensorFlow Lite: full-integer models on the CPU through XNNPACK.

``ai_edge_litert`` where it has wheels, else ``tflite_runtime``, which has the same interface but, for int8, only
the built-in kernels.
"""

from __future__ import annotations

import ctypes
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.errors import BackendError
from edge.inference.backends.base import ON_CPU, ModelFile, closed, first_line, import_runtime
from edge.native_output import quiet_native_output
from edge.vision.tensor import TensorSpec

__all__ = ["LiteRTBackend", "load", "runtime", "version"]

_PACKAGES: Final = (("ai_edge_litert", "ai-edge-litert"), ("tflite_runtime", "tflite-runtime"))


class LiteRTBackend:
    """One interpreter with its tensors allocated."""

    name = "litert"
    conditions = ON_CPU

    def __init__(self, path: Path, threads: int) -> None:
        module, self.version = runtime()
        self.threads = threads
        try:
            with quiet_native_output():
                self._interpreter: Any = module.Interpreter(model_path=str(path), num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError, SystemError) as reason:
            raise BackendError(f"{self.version} cannot load {path}: {first_line(reason)}") from reason
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise BackendError(f"{path} has {len(inputs)} inputs and {len(outputs)} outputs: expected one of each.")
        self.input_spec, self.output_spec = _spec(inputs[0]), _spec(outputs[0])
        self._indices = inputs[0]["index"], outputs[0]["index"]
        self._output: NDArray[np.generic] | None
        try:
            self._input, self._output = (_alias(self._interpreter.tensor(index)()) for index in self._indices)
        except ValueError:  # the output has no memory before the first run: its shape is computed in the graph,
            self._input, self._output = self.input_spec.empty(), None  # and tensors move from run to run

    def input(self) -> NDArray[np.generic]:
        """The interpreter's own input memory."""
        if self._interpreter is None:
            raise closed(self.name)
        return self._input

    def infer(self) -> NDArray[np.generic]:
        """Run the model; the result is the interpreter's own output memory."""
        if self._interpreter is None:
            raise closed(self.name)
        try:
            if self._output is None:
                self._interpreter.set_tensor(self._indices[0], self._input)
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as reason:
            raise BackendError(f"{self.version} failed to run the model: {first_line(reason)}") from reason
        if self._output is None:
            output: NDArray[np.generic] = self._interpreter.get_tensor(self._indices[1])
            return output
        return self._output

    def close(self) -> None:
        """Free the interpreter, and with it the memory that :meth:`input` and :meth:`infer` showed."""
        self._input = self._input.copy()
        self._output = None if self._output is None else self._output.copy()
        self._interpreter = None


def load(model: ModelFile, threads: int) -> LiteRTBackend:
    """Load a ``.tflite`` file.

    Raises:
        BackendError: No runtime is installed, or it refuses the file.
    """
    return LiteRTBackend(model.path, threads)


def version() -> str:
    """The runtime that would be used, and its version.

    Raises:
        BackendError: None is installed.
    """
    return runtime()[1]


def runtime() -> tuple[ModuleType, str]:
    """The runtime's module with its ``Interpreter``, and its name and version.

    Raises:
        BackendError: None can be imported.
    """
    reasons = []
    for module, distribution in _PACKAGES:
        try:
            runtime = import_runtime(f"{module}.interpreter")
        except BackendError as reason:
            reasons.append(f"{distribution}: {reason}")
            continue
        try:
            return runtime, f"{distribution} {package_version(distribution)}"
        except PackageNotFoundError:
            return runtime, distribution
    raise BackendError(f"neither runtime can be imported ({'; '.join(reasons)}): pip install ai-edge-litert.")


def _alias(tensor: NDArray[np.generic]) -> NDArray[np.generic]:
    """The memory of ``tensor`` without its reference to the interpreter, which will not run while one is held.

    Tensors stay where they are once allocated, for as long as the interpreter lives.
    """
    memory: Any = (ctypes.c_ubyte * tensor.nbytes).from_address(tensor.ctypes.data)
    alias: NDArray[np.generic] = np.frombuffer(memory, tensor.dtype).reshape(tensor.shape)
    return alias


def _spec(details: dict[str, Any]) -> TensorSpec:
    scale, zero_point = details["quantization"]
    return TensorSpec(
        shape=tuple(int(n) for n in details["shape"]),
        dtype=np.dtype(details["dtype"]).name,
        scale=float(scale) or 1.0,
        zero_point=int(zero_point),
    )
