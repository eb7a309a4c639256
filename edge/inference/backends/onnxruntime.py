"""ONNX Runtime on the CPU: the fallback where LiteRT has no wheel, and the check on what TensorRT is given."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.errors import BackendError
from edge.inference.backends.base import ON_CPU, ModelFile, closed, import_runtime
from edge.vision.tensor import TensorSpec

__all__ = ["OnnxRuntimeBackend", "load", "version"]

_TYPES: Final = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
}
_NO_TELEMETRY: Final = "ORT_DISABLE_TELEMETRY"
"""An environment variable, for which ONNX Runtime looks while it is imported; what the user has set stays."""
_EXACT: Final = "session.x64quantprecision"
"""Without it, ONNX Runtime's int8 kernels for x86 processors with AVX2 but without VNNI add pairs of products in int16,
which overflow: a file of ``quantize_static`` answered 48 % of 60 photos as float does, with it 77 %. Elsewhere it
changes nothing."""


class OnnxRuntimeBackend:
    """One session with its input and output bound to buffers made once."""

    name = "onnxruntime"
    conditions = ON_CPU

    def __init__(self, path: Path, threads: int) -> None:
        runtime = _runtime()
        self.version, self.threads = version(), threads
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        options.add_session_config_entry(_EXACT, "1")
        try:
            self._session: Any = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except _errors() as reason:
            raise BackendError(f"{self.version} cannot load {path}: {_one_line(reason)}") from reason
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise BackendError(f"{path} has {len(inputs)} inputs and {len(outputs)} outputs: expected one of each.")
        self.input_spec, self.output_spec = _spec(path, inputs[0]), _spec(path, outputs[0])
        self._input, self._output = self.input_spec.empty(), self.output_spec.empty()
        self._binding = self._session.io_binding()
        for bind, name, buffer in (
            (self._binding.bind_input, inputs[0].name, self._input),
            (self._binding.bind_output, outputs[0].name, self._output),
        ):
            bind(name, "cpu", 0, buffer.dtype, buffer.shape, buffer.ctypes.data)

    def input(self) -> NDArray[np.generic]:
        """The buffer that the session reads."""
        if self._session is None:
            raise closed(self.name)
        return self._input

    def infer(self) -> NDArray[np.generic]:
        """Run the model; the result is the buffer that the session writes."""
        if self._session is None:
            raise closed(self.name)
        try:
            self._session.run_with_iobinding(self._binding)
        except _errors() as reason:
            raise BackendError(f"{self.version} failed to run the model: {_one_line(reason)}") from reason
        return self._output

    def close(self) -> None:
        """Free the session."""
        self._binding = self._session = None


def load(model: ModelFile, threads: int) -> OnnxRuntimeBackend:
    """Load an ``.onnx`` file.

    Raises:
        BackendError: ONNX Runtime is not installed, or refuses the file.
    """
    return OnnxRuntimeBackend(model.path, threads)


def version() -> str:
    """The runtime's name and version.

    Raises:
        BackendError: It is not installed.
    """
    return f"onnxruntime {_runtime().__version__}"


def _runtime() -> ModuleType:
    """The library. Late versions report to Microsoft, and keep an id of the machine, unless told not to."""
    os.environ.setdefault(_NO_TELEMETRY, "1")
    try:
        return import_runtime("onnxruntime")
    except BackendError as reason:
        raise BackendError(f"it cannot be imported ({reason}): pip install onnxruntime.") from reason


def _errors() -> tuple[type[Exception], ...]:
    """ONNX Runtime's own exceptions, which share no base class but Exception."""
    state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    return (RuntimeError, *(v for v in vars(state).values() if isinstance(v, type) and issubclass(v, Exception)))


def _spec(path: Path, tensor: Any) -> TensorSpec:
    """The tensor for one picture, where the file leaves their number open, as exporters do by default."""
    shape = [1 if n == 0 and not isinstance(size, int) else size for n, size in enumerate(tensor.shape)]
    if tensor.type not in _TYPES or not all(isinstance(size, int) for size in shape):
        expected = f"fixed sizes and one of {', '.join(_TYPES)}. Export it for pictures of one size"
        raise BackendError(f"{path}: tensor {tensor.name} is {tensor.type} {tensor.shape}: expected {expected}.")
    return TensorSpec(shape=tuple(shape), dtype=_TYPES[tensor.type])


def _one_line(reason: BaseException) -> str:
    return re.sub(r"\s+", " ", str(reason)).strip() or type(reason).__name__
