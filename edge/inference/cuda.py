"""The few calls of the CUDA runtime that inference needs, through ctypes on the system's own libcudart.

``docs/decisions/cuda-bindings.md`` tells why not through a package. Addresses are plain integers, 0 is none.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint, c_ulonglong, c_void_p
from typing import Any, Final

from edge.errors import BackendError

__all__ = ["Cuda", "load_cuda"]

_LIBRARIES: Final = (
    "libcudart.so.13",
    "libcudart.so.12",
    "libcudart.so.11.0",
    "libcudart.so",
    "/usr/local/cuda/lib64/libcudart.so",
)
_POINTER: Final = POINTER(c_void_p)
_SIGNATURES: Final[dict[str, tuple[Any, ...]]] = {
    "cudaRuntimeGetVersion": (POINTER(c_int),),
    "cudaGetDeviceCount": (POINTER(c_int),),
    "cudaDeviceGetAttribute": (POINTER(c_int), c_int, c_int),
    "cudaMemGetInfo": (POINTER(c_size_t), POINTER(c_size_t)),
    "cudaMalloc": (_POINTER, c_size_t),
    "cudaFree": (c_void_p,),
    "cudaHostAlloc": (_POINTER, c_size_t, c_uint),
    "cudaHostGetDevicePointer": (_POINTER, c_void_p, c_uint),
    "cudaFreeHost": (c_void_p,),
    "cudaMemcpyAsync": (c_void_p, c_void_p, c_size_t, c_int, c_void_p),
    "cudaStreamCreateWithFlags": (_POINTER, c_uint),
    "cudaStreamSynchronize": (c_void_p,),
    "cudaStreamDestroy": (c_void_p,),
    "cudaStreamBeginCapture": (c_void_p, c_int),
    "cudaStreamEndCapture": (c_void_p, _POINTER),
    "cudaGraphInstantiateWithFlags": (_POINTER, c_void_p, c_ulonglong),
    "cudaGraphLaunch": (c_void_p, c_void_p),
    "cudaGraphExecDestroy": (c_void_p,),
    "cudaGraphDestroy": (c_void_p,),
    "cudaGetLastError": (),
}
"""Every function called and its arguments; all return an error code. The same from CUDA 11.4 to 13."""

# Values of the C enumerations, from driver_types.h.
_TO_DEVICE, _TO_HOST = 1, 2
_HOST_MAPPED = 2
_STREAM_NON_BLOCKING = 1
_CAPTURE_THREAD_LOCAL = 1
_INTEGRATED, _MAJOR, _MINOR = 18, 75, 76
_OUT_OF_MEMORY = 2


class Cuda:
    """The first GPU of this machine. Every method raises :class:`BackendError` when CUDA reports a failure."""

    def __init__(self, library: Any) -> None:
        """Look for a GPU through ``library``, a loaded libcudart or what behaves like one."""
        self._library = library
        if not self._integer("cudaGetDeviceCount"):
            raise BackendError("CUDA finds no GPU.")

    @property
    def version(self) -> str:
        """The runtime library's version: ``12.6``."""
        number = self._integer("cudaRuntimeGetVersion")
        return f"{number // 1000}.{number % 1000 // 10}"

    @property
    def compute_capability(self) -> str:
        """The GPU's architecture: ``8.7`` of an Orin."""
        return f"{self._attribute(_MAJOR)}.{self._attribute(_MINOR)}"

    @property
    def is_integrated(self) -> bool:
        """Whether the GPU works in the main memory, as a Jetson's does."""
        return bool(self._attribute(_INTEGRATED))

    @property
    def free_mb(self) -> float:
        """Memory that the GPU has free, in MB of 10^6 bytes."""
        free, total = c_size_t(), c_size_t()
        self._call("cudaMemGetInfo", byref(free), byref(total))
        return free.value / 1e6

    def allocate(self, size_bytes: int) -> int:
        """Memory on the GPU, freed by :meth:`free`."""
        return self._address("cudaMalloc", c_size_t(size_bytes))

    def free(self, address: int) -> None:
        """Free what :meth:`allocate` gave."""
        self._call("cudaFree", c_void_p(address))

    def allocate_host(self, size_bytes: int) -> int:
        """Pinned main memory that the GPU can reach, freed by :meth:`free_host`."""
        return self._address("cudaHostAlloc", c_size_t(size_bytes), c_uint(_HOST_MAPPED))

    def device_address(self, host: int) -> int:
        """Where the GPU sees memory of :meth:`allocate_host`."""
        return self._address("cudaHostGetDevicePointer", c_void_p(host), c_uint(0))

    def free_host(self, address: int) -> None:
        """Free what :meth:`allocate_host` gave."""
        self._call("cudaFreeHost", c_void_p(address))

    def stream(self) -> int:
        """A new stream, freed by :meth:`free_stream`."""
        return self._address("cudaStreamCreateWithFlags", c_uint(_STREAM_NON_BLOCKING))

    def free_stream(self, stream: int) -> None:
        """Free a stream."""
        self._call("cudaStreamDestroy", c_void_p(stream))

    def synchronize(self, stream: int) -> None:
        """Wait until all work of ``stream`` is done."""
        self._call("cudaStreamSynchronize", c_void_p(stream))

    def copy_to_device(self, target: int, source: int, size_bytes: int, stream: int) -> None:
        """Have ``stream`` copy pinned main memory to the GPU."""
        self._copy(target, source, size_bytes, _TO_DEVICE, stream)

    def copy_to_host(self, target: int, source: int, size_bytes: int, stream: int) -> None:
        """Have ``stream`` copy from the GPU to pinned main memory."""
        self._copy(target, source, size_bytes, _TO_HOST, stream)

    def record(self, stream: int, enqueue: Callable[[], None]) -> int:
        """A graph of what ``enqueue`` puts on ``stream``, without doing it; freed by :meth:`free_graph`.

        Raises:
            BackendError: ``enqueue`` did something that cannot be recorded; the stream is usable as before.
        """
        self._call("cudaStreamBeginCapture", c_void_p(stream), c_int(_CAPTURE_THREAD_LOCAL))
        try:
            enqueue()
        except BackendError:
            with contextlib.suppress(BackendError):
                self._free_template(self._address_last("cudaStreamEndCapture", c_void_p(stream)))
            self._library.cudaGetLastError()
            raise
        template = self._address_last("cudaStreamEndCapture", c_void_p(stream))
        try:
            return self._address("cudaGraphInstantiateWithFlags", c_void_p(template), c_ulonglong(0))
        finally:
            self._free_template(template)

    def launch(self, graph: int, stream: int) -> None:
        """Have ``stream`` do what a graph recorded."""
        self._call("cudaGraphLaunch", c_void_p(graph), c_void_p(stream))

    def free_graph(self, graph: int) -> None:
        """Free a graph."""
        self._call("cudaGraphExecDestroy", c_void_p(graph))

    def _free_template(self, template: int) -> None:
        if template:
            self._call("cudaGraphDestroy", c_void_p(template))

    def _copy(self, target: int, source: int, size_bytes: int, kind: int, stream: int) -> None:
        self._call(
            "cudaMemcpyAsync", c_void_p(target), c_void_p(source), c_size_t(size_bytes), c_int(kind), c_void_p(stream)
        )

    def _attribute(self, attribute: int) -> int:
        return self._integer("cudaDeviceGetAttribute", c_int(attribute), c_int(0))

    def _integer(self, function: str, *arguments: Any) -> int:
        value = c_int()
        self._call(function, byref(value), *arguments)
        return value.value

    def _address(self, function: str, *arguments: Any) -> int:
        """What a function stores where its first argument points."""
        address = c_void_p()
        self._call(function, byref(address), *arguments)
        return address.value or 0

    def _address_last(self, function: str, *arguments: Any) -> int:
        """What a function stores where its last argument points."""
        address = c_void_p()
        self._call(function, *arguments, byref(address))
        return address.value or 0

    def _call(self, function: str, *arguments: Any) -> None:
        code = getattr(self._library, function)(*arguments)
        if code:
            self._library.cudaGetLastError()  # else the next call would report it again
            name = self._library.cudaGetErrorName(code).decode()
            text = self._library.cudaGetErrorString(code).decode()
            advice = " Close other programs that use the GPU." if code == _OUT_OF_MEMORY else ""
            raise BackendError(f"CUDA failed in {function}: {text} ({name}).{advice}")


def load_cuda() -> Cuda:
    """The first CUDA runtime of this machine that finds a GPU.

    Raises:
        BackendError: No libcudart can be loaded, or none works with this machine's driver and GPU.
    """
    reasons = []
    for name in _LIBRARIES:
        try:
            library = _declared(ctypes.CDLL(name))
        except (OSError, AttributeError):
            continue
        try:
            return Cuda(library)
        except BackendError as reason:
            reasons.append(str(reason))
    if reasons:
        raise BackendError(reasons[0])
    raise BackendError(
        "there is no CUDA runtime (libcudart): on a Jetson it comes with JetPack, sudo apt-get install nvidia-jetpack."
    )


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """``library`` with the types of every function set.

    Raises:
        AttributeError: It lacks a function.
    """
    for name, arguments in _SIGNATURES.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, c_int
    for name in ("cudaGetErrorName", "cudaGetErrorString"):
        function = getattr(library, name)
        function.argtypes, function.restype = (c_int,), c_char_p
    return library
