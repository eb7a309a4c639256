"""LiteRT, once TensorFlow Lite: full-integer models on the CPU through XNNPACK.

``ai_edge_litert`` where it has wheels, else ``tflite_runtime``, which has the same interface but, for int8, only
the built-in kernels.
"""

from __future__ import annotations

import ctypes
import os
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
                self._interpreter: Any = module.Interpreter(model_path=os.fsencode(path), num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError, SystemError) as reason:
            raise BackendError(f"{self.version} cannot load {path}: {first_line(reason)}") from reason
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise BackendError(f"{path} has {len(inputs)} inputs and {len(outputs)} outputs: expected one of each.")
        self._indices: tuple[int, int] = inputs[0]["index"], outputs[0]["index"]
        self.input_spec = _spec(inputs[0])
        stays = self._run_once()
        self.output_spec = _spec(self._interpreter.get_output_details()[0])  # where computed, known after a run alone
        self._input: NDArray[np.generic] | None
        self._output: NDArray[np.generic] | None
        if stays:
            self._input, self._output = (self._memory(index) for index in self._indices)
        else:
            self._input, self._output = self.input_spec.empty(), None

    def input(self) -> NDArray[np.generic]:
        """The interpreter's own input memory; where that moves, a buffer that :meth:`infer` copies there."""
        if self._input is None:
            raise closed(self.name)
        return self._input

    def infer(self) -> NDArray[np.generic]:
        """Run the model; the result is the interpreter's own output memory, or a copy of it where that moves."""
        if self._interpreter is None:
            raise closed(self.name)
        if self._output is not None:
            self._invoke()
            return self._output
        self._interpreter.set_tensor(self._indices[0], self._input)
        self._invoke()
        output: NDArray[np.generic] = self._interpreter.get_tensor(self._indices[1])
        if output.shape != self.output_spec.shape:
            expected = self.output_spec.shape
            raise BackendError(f"{self.version} gave an answer of shape {output.shape}: expected {expected} as before.")
        return output

    def close(self) -> None:
        """Free the interpreter, once nobody holds an array of :meth:`input` or :meth:`infer` any more."""
        self._interpreter = self._input = self._output = None

    def _run_once(self) -> bool:
        """Run the model on zeros; whether that leaves the memory of its input and output where it was.

        Where a shape is computed in the graph, tensors get their memory when they are made, and all may move then.
        """
        before = self._addresses()
        self._interpreter.set_tensor(self._indices[0], np.zeros(self.input_spec.shape, self.input_spec.dtype))
        self._invoke()
        return before is not None and before == self._addresses()

    def _invoke(self) -> None:
        try:
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as reason:
            raise BackendError(f"{self.version} failed to run the model: {first_line(reason)}") from reason

    def _addresses(self) -> list[int] | None:
        """Where input and output are; None if one of them has no memory yet."""
        try:
            return [int(self._interpreter.tensor(index)().ctypes.data) for index in self._indices]
        except ValueError:
            return None

    def _memory(self, index: int) -> NDArray[np.generic]:
        """A tensor's memory as an array that is not the interpreter's own, which does not run while one is held."""
        tensor: NDArray[np.generic] = self._interpreter.tensor(index)()
        memory: Any = (ctypes.c_ubyte * tensor.nbytes).from_address(tensor.ctypes.data)
        memory.owner = self._interpreter  # the memory is there for as long as the array
        return np.frombuffer(memory, tensor.dtype).reshape(tensor.shape)


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


def _spec(details: dict[str, Any]) -> TensorSpec:
    scale, zero_point = details["quantization"]
    return TensorSpec(
        shape=tuple(int(n) for n in details["shape"]),
        dtype=np.dtype(details["dtype"]).name,
        scale=float(scale) or 1.0,
        zero_point=int(zero_point),
    )
