"""TensorRT on an NVIDIA GPU: an engine that was built here before, run on one stream.

Input and output are pinned memory, made once. Where the GPU works in the main memory, as a Jetson's does, it reads and
writes them in place; elsewhere copies belong to the work of every call. After a first run the work is recorded as a
CUDA graph, and replayed from then on; what cannot be recorded is enqueued each time.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.board.device import describe
from edge.errors import BackendError
from edge.inference.backends.base import Conditions, ModelFile, closed, import_runtime
from edge.inference.cuda import Cuda, load_cuda
from edge.inference.engine_cache import EngineStore, Platform, Source
from edge.vision.tensor import TensorSpec

__all__ = ["TensorRTBackend", "current_platform", "is_expected", "load", "new_log", "runtime", "version"]

_TYPES: Final = {"FLOAT": "float32", "HALF": "float16", "INT8": "int8", "UINT8": "uint8"}
"""Names of TensorRT's data types; ``trt.nptype`` fails with newer versions of NumPy."""


class TensorRTBackend:
    """One engine with its buffers, its stream, and if possible its graph."""

    name = "tensorrt"

    def __init__(
        self, engine: bytes, cuda: Cuda, trt: Any, *, threads: int = 1, dla_core: int | None = None, graph: bool = True
    ) -> None:
        """Deserialize ``engine`` and make ready to run it.

        Args:
            engine: The engine file's bytes.
            cuda: The GPU.
            trt: The module ``tensorrt``.
            threads: What the caller asked for; a GPU does without.
            dla_core: The DLA core that the engine was built for, if it was.
            graph: Whether to record a CUDA graph, where that works.

        Raises:
            BackendError: The engine is of another TensorRT or GPU, is damaged, or has not one input and one output.
        """
        self.version, self.threads = f"TensorRT {trt.__version__}", threads
        self._cuda, self._is_open = cuda, True
        with contextlib.ExitStack() as stack:
            self._engine, self._context = _deserialize(trt, engine, dla_core)
            names = _tensor_names(trt, self._engine)
            self.input_spec, self.output_spec = (_spec(self._engine, name) for name in names)
            self._stream = cuda.stream()
            stack.callback(cuda.free_stream, self._stream)
            is_shared = cuda.is_integrated
            self._buffers = [
                _Buffer(cuda, spec, is_shared=is_shared, stack=stack) for spec in (self.input_spec, self.output_spec)
            ]
            for name, buffer in zip(names, self._buffers, strict=True):
                self._context.set_tensor_address(name, buffer.device)
            self._run(self._enqueue)  # the first run may allocate, which no graph can record
            self._graph = self._record(stack) if graph else 0
            self._cleanup = stack.pop_all()
        self.conditions = Conditions(includes_transfers=not is_shared, cuda_graph=bool(self._graph))

    def input(self) -> NDArray[np.generic]:
        """The pinned memory that the GPU reads, or that is copied to it."""
        self._check_open()
        return self._buffers[0].array

    def infer(self) -> NDArray[np.generic]:
        """Run the engine and wait for it; the result is pinned memory."""
        self._check_open()
        self._run(self._replay if self._graph else self._enqueue)
        return self._buffers[1].array

    def close(self) -> None:
        """Free the engine and all memory. A second call does nothing."""
        if self._is_open:
            self._is_open = False
            self._context = self._engine = None  # before the memory that they use
            self._cleanup.close()

    def _check_open(self) -> None:
        if not self._is_open:
            raise closed(self.name)

    def _run(self, enqueue: Callable[[], None]) -> None:
        enqueue()
        self._cuda.synchronize(self._stream)

    def _enqueue(self) -> None:
        source, target = self._buffers
        source.send(self._stream)
        if not self._context.execute_async_v3(self._stream):
            raise BackendError(f"{self.version} failed to run the engine.")
        target.fetch(self._stream)

    def _replay(self) -> None:
        self._cuda.launch(self._graph, self._stream)

    def _record(self, stack: contextlib.ExitStack) -> int:
        """The graph of one run; 0 where this engine's work cannot be recorded."""
        try:
            graph = self._cuda.record(self._stream, self._enqueue)
        except BackendError:
            return 0
        stack.callback(self._cuda.free_graph, graph)
        return graph


class _Buffer:
    """One tensor in pinned main memory and, unless the GPU shares that, on the GPU."""

    def __init__(self, cuda: Cuda, spec: TensorSpec, *, is_shared: bool, stack: contextlib.ExitStack) -> None:
        self._cuda, self._is_shared = cuda, is_shared
        self._size_bytes = spec.empty().nbytes
        self._host = cuda.allocate_host(self._size_bytes)
        stack.callback(cuda.free_host, self._host)
        if is_shared:
            self.device = cuda.device_address(self._host)
        else:
            self.device = cuda.allocate(self._size_bytes)
            stack.callback(cuda.free, self.device)
        memory: Any = (ctypes.c_ubyte * self._size_bytes).from_address(self._host)
        self.array: NDArray[np.generic] = np.frombuffer(memory, spec.dtype).reshape(spec.shape)
        self.array.fill(0)

    def send(self, stream: int) -> None:
        if not self._is_shared:
            self._cuda.copy_to_device(self.device, self._host, self._size_bytes, stream)

    def fetch(self, stream: int) -> None:
        if not self._is_shared:
            self._cuda.copy_to_host(self._host, self.device, self._size_bytes, stream)


def load(model: ModelFile, threads: int) -> TensorRTBackend:
    """Load the engine of an ``.onnx`` file that was built on this machine.

    Raises:
        BackendError: TensorRT, CUDA or the engine is missing, or does not fit this machine.
    """
    trt, cuda = runtime(), load_cuda()
    platform = current_platform(trt, cuda)
    stored = EngineStore().find(Source(path=model.path, sha256=model.sha256), platform)
    backend = TensorRTBackend(
        stored.path.read_bytes(), cuda, trt, threads=threads, dla_core=stored.build.get("dla_core")
    )
    side, found = model.variant.resolution, (backend.input_spec.shape, backend.output_spec.shape)
    if found != ((1, 3, side, side), (1, model.classes)):
        backend.close()
        expected = f"(1, 3, {side}, {side}) to (1, {model.classes})"
        raise BackendError(f"engine {stored.path} maps {found[0]} to {found[1]}: expected {expected}.")
    return backend


def is_expected() -> bool:
    """Whether this machine is one for TensorRT: a Jetson, or one on which it is installed."""
    return importlib.util.find_spec("tensorrt") is not None or describe().is_jetson


def version() -> str:
    """The runtime's name and version.

    Raises:
        BackendError: It is not installed.
    """
    return f"TensorRT {runtime().__version__}"


def runtime() -> ModuleType:
    """The module ``tensorrt``.

    Raises:
        BackendError: It cannot be imported.
    """
    try:
        return import_runtime("tensorrt")
    except BackendError as reason:
        raise BackendError(
            f"TensorRT cannot be imported ({reason}): on a Jetson it comes with JetPack "
            "(sudo apt-get install python3-libnvinfer), and the environment must see the system's packages "
            "(python3 -m venv --system-site-packages, as ./install.sh makes it)."
        ) from reason


def current_platform(trt: Any, cuda: Cuda) -> Platform:
    """What an engine of this machine is bound to."""
    return Platform(
        tensorrt=trt.__version__, cuda=cuda.version, compute_capability=cuda.compute_capability, l4t=describe().l4t
    )


def _deserialize(trt: Any, content: bytes, dla_core: int | None) -> tuple[Any, Any]:
    log = new_log(trt)
    runtime = trt.Runtime(log)
    if dla_core is not None:
        runtime.DLA_core = dla_core
    engine = runtime.deserialize_cuda_engine(content)
    context = engine.create_execution_context() if engine is not None else None
    if context is None:
        reason = log.errors[-1] if log.errors else "no reason was given"
        raise BackendError(
            f"TensorRT {trt.__version__} cannot load the engine ({reason}): it was built by another TensorRT or for "
            "another GPU, or is damaged. Build it again: edge-convert engine BUNDLE --force."
        )
    return engine, context


def new_log(trt: Any, listen: Callable[[str], None] = lambda message: None) -> Any:
    """A logger for TensorRT that is silent and keeps ``errors``; its class can only be made once ``trt`` is there.

    Args:
        trt: The module ``tensorrt``.
        listen: Called with every message, verbose ones too.
    """

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(" ".join(message.split()))
            listen(message)

    return Log()


def _tensor_names(trt: Any, engine: Any) -> tuple[str, str]:
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
    outputs = [name for name in names if name not in inputs]
    if len(inputs) != 1 or len(outputs) != 1:
        raise BackendError(f"the engine has {len(inputs)} inputs and {len(outputs)} outputs: expected one of each.")
    return inputs[0], outputs[0]


def _spec(engine: Any, name: str) -> TensorSpec:
    kind, shape = engine.get_tensor_dtype(name).name, tuple(engine.get_tensor_shape(name))
    if kind not in _TYPES or not all(size > 0 for size in shape):
        expected = f"fixed sizes and one of {', '.join(_TYPES)}"
        raise BackendError(f"the engine's tensor {name} is {kind} {shape}: expected {expected}.")
    return TensorSpec(shape=shape, dtype=_TYPES[kind])
