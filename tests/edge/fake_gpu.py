"""A GPU made of main memory, and a TensorRT whose engines are a few lines of JSON.

The stand-ins check what the real ones would crash on: memory and graphs freed twice or never, work that is put on no
stream, and calls while a graph is being recorded that cannot be recorded.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable
from enum import Enum
from types import SimpleNamespace
from typing import Any

import numpy as np

TENSORRT = "10.3.0"
_ATTRIBUTES = {18: "integrated", 75: "major", 76: "minor"}


class FakeCudart:
    """Behaves like libcudart with one GPU; ``failing`` maps functions to the code they return."""

    def __init__(self, *, integrated: bool = False, version: int = 12060, capability: tuple[int, int] = (8, 7)) -> None:
        self.gpus, self.version, self.failing = 1, version, dict[str, int]()
        self.attributes = {"integrated": int(integrated), "major": capability[0], "minor": capability[1]}
        self.memory: dict[int, Any] = {}
        self.streams: set[int] = set()
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.calls: list[str] = []
        self._recording: list[Callable[[], None]] | None = None
        self._next = 1

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("cuda") or (name.startswith("cudaGet") and "Error" in name):
            return super().__getattribute__(name)
        self.calls.append(name)
        code = self.failing.get(name, 0)
        return (lambda *arguments: code) if code else super().__getattribute__(name)

    def enqueue(self, stream: int, work: Callable[[], None]) -> None:
        assert stream in self.streams
        if self._recording is not None:
            self._recording.append(work)
        else:
            work()

    @property
    def is_clean(self) -> bool:
        return not (self.memory or self.streams or self.graphs)

    def cudaGetDeviceCount(self, count: Any) -> int:
        count._obj.value = self.gpus
        return 0

    def cudaRuntimeGetVersion(self, version: Any) -> int:
        version._obj.value = self.version
        return 0

    def cudaDeviceGetAttribute(self, value: Any, attribute: Any, device: Any) -> int:
        value._obj.value = self.attributes[_ATTRIBUTES[attribute.value]]
        return 0

    def cudaMemGetInfo(self, free: Any, total: Any) -> int:
        free._obj.value, total._obj.value = 3_000_000, 8_000_000
        return 0

    def cudaMalloc(self, address: Any, size: Any) -> int:
        return self._allocate(address, size)

    def cudaHostAlloc(self, address: Any, size: Any, flags: Any) -> int:
        return self._allocate(address, size)

    def _allocate(self, address: Any, size: Any) -> int:
        assert self._recording is None
        memory = (ctypes.c_ubyte * size.value)()
        address._obj.value = ctypes.addressof(memory)
        self.memory[ctypes.addressof(memory)] = memory
        return 0

    def cudaHostGetDevicePointer(self, address: Any, host: Any, flags: Any) -> int:
        address._obj.value = host.value
        return 0

    def cudaFree(self, address: Any) -> int:
        del self.memory[address.value]
        return 0

    def cudaFreeHost(self, address: Any) -> int:
        return self.cudaFree(address)

    def cudaMemcpyAsync(self, target: Any, source: Any, size: Any, kind: Any, stream: Any) -> int:
        def copy() -> None:
            ctypes.memmove(target.value, source.value, size.value)

        self.enqueue(stream.value, copy)
        return 0

    def cudaStreamCreateWithFlags(self, stream: Any, flags: Any) -> int:
        stream._obj.value = self._number()
        self.streams.add(stream._obj.value)
        return 0

    def cudaStreamSynchronize(self, stream: Any) -> int:
        assert stream.value in self.streams and self._recording is None
        return 0

    def cudaStreamDestroy(self, stream: Any) -> int:
        self.streams.remove(stream.value)
        return 0

    def cudaStreamBeginCapture(self, stream: Any, mode: Any) -> int:
        self._recording = []
        return 0

    def cudaStreamEndCapture(self, stream: Any, graph: Any) -> int:
        graph._obj.value = self._number()
        self.graphs[graph._obj.value], self._recording = self._recording or [], None
        return 0

    def cudaGraphInstantiateWithFlags(self, graph: Any, template: Any, flags: Any) -> int:
        graph._obj.value = self._number()
        self.graphs[graph._obj.value] = self.graphs[template.value]
        return 0

    def cudaGraphLaunch(self, graph: Any, stream: Any) -> int:
        for work in self.graphs[graph.value]:
            self.enqueue(stream.value, work)
        return 0

    def cudaGraphDestroy(self, graph: Any) -> int:
        del self.graphs[graph.value]
        return 0

    def cudaGraphExecDestroy(self, graph: Any) -> int:
        return self.cudaGraphDestroy(graph)

    def cudaGetLastError(self) -> int:
        return 0

    def cudaGetErrorName(self, code: int) -> bytes:
        return {2: b"cudaErrorMemoryAllocation", 700: b"cudaErrorIllegalAddress"}.get(code, b"cudaErrorUnknown")

    def cudaGetErrorString(self, code: int) -> bytes:
        return {2: b"out of memory", 700: b"an illegal memory access was encountered"}.get(code, b"unknown error")

    def _number(self) -> int:
        self._next += 1
        return self._next


def engine_bytes(side: int = 32, *, dtype: str = "FLOAT", inputs: int = 1, version: str = TENSORRT) -> bytes:
    """An engine that answers the mean of each channel: (1, 3, side, side) to (1, 3)."""
    tensors = [[f"input{n}", [1, 3, side, side], dtype] for n in range(inputs)]
    return json.dumps({"version": version, "tensors": [*tensors, ["answer", [1, 3], "FLOAT"]]}).encode()


class FakeTensorRT:
    """Behaves like the module ``tensorrt``; ``breaking`` lets every run fail."""

    class ILogger:
        Severity = Enum("Severity", "INTERNAL_ERROR ERROR WARNING INFO VERBOSE")

    TensorIOMode = Enum("TensorIOMode", "INPUT OUTPUT")

    def __init__(self, cudart: FakeCudart, version: str = TENSORRT) -> None:
        self.__version__, self.cudart, self.breaking = version, cudart, False
        self.dla_cores: list[int] = []

    def Runtime(self, log: Any) -> Any:
        return _Runtime(self, log)


class _Runtime:
    def __init__(self, trt: FakeTensorRT, log: Any) -> None:
        self._trt, self._log = trt, log

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "DLA_core":
            self._trt.dla_cores.append(value)
        super().__setattr__(name, value)

    def deserialize_cuda_engine(self, content: bytes) -> Any:
        try:
            values = json.loads(content)
        except ValueError:
            self._log.log(FakeTensorRT.ILogger.Severity.ERROR, "Magic tag does not match")
            return None
        if values["version"] != self._trt.__version__:
            self._log.log(FakeTensorRT.ILogger.Severity.ERROR, "Version tag does not match")
            return None
        return _Engine(self._trt, values["tensors"])


class _Engine:
    def __init__(self, trt: FakeTensorRT, tensors: list[Any]) -> None:
        self._trt = trt
        self._tensors: dict[str, tuple[tuple[int, ...], str]] = {n: (tuple(shape), t) for n, shape, t in tensors}
        self.num_io_tensors = len(tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self._tensors)[index]

    def get_tensor_mode(self, name: str) -> Any:
        return FakeTensorRT.TensorIOMode.INPUT if name.startswith("input") else FakeTensorRT.TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._tensors[name][0]

    def get_tensor_dtype(self, name: str) -> Any:
        return SimpleNamespace(name=self._tensors[name][1])

    def create_execution_context(self) -> Any:
        return _Context(self._trt, self)


class _Context:
    def __init__(self, trt: FakeTensorRT, engine: _Engine) -> None:
        self._trt, self._engine, self._addresses = trt, engine, dict[str, int]()

    def set_tensor_address(self, name: str, address: int) -> None:
        self._addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        if self._trt.breaking:
            return False
        self._trt.cudart.enqueue(stream, self._mean)
        return True

    def _mean(self) -> None:
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        picture, answer = (self._view(name) for name in names)
        answer[:] = picture.astype(np.float32).mean(axis=(2, 3))

    def _view(self, name: str) -> Any:
        dtype = {"FLOAT": np.float32, "HALF": np.float16}[self._engine.get_tensor_dtype(name).name]
        shape = self._engine.get_tensor_shape(name)
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        memory: Any = (ctypes.c_ubyte * size).from_address(self._addresses[name])
        return np.frombuffer(memory, dtype).reshape(shape)
