"""The CUDA calls, on a stand-in for a GPU and on NVIDIA's own libraries, which find none here."""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from edge.errors import BackendError
from edge.inference import cuda
from edge.inference.cuda import Cuda, load_cuda
from tests.edge.fake_gpu import FakeCudart


def cudart(version: str) -> ctypes.CDLL:
    """NVIDIA's library of one major version, as its package has it."""
    spec = importlib.util.find_spec("nvidia")
    folders = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    found = [path for folder in folders for path in folder.glob(f"*/lib/libcudart.so.{version}")]
    if not found:
        pytest.skip(f"no libcudart.so.{version} is installed (x86_64: dev extra)")
    return ctypes.CDLL(str(found[0]))


def test_it_tells_what_gpu_there_is() -> None:
    gpu = Cuda(FakeCudart(integrated=True, version=13020, capability=(11, 0)))
    assert (gpu.version, gpu.compute_capability, gpu.is_integrated, gpu.free_mb) == ("13.2", "11.0", True, 3.0)


def test_no_gpu_is_an_error() -> None:
    library = FakeCudart()
    library.gpus = 0
    with pytest.raises(BackendError, match="CUDA finds no GPU"):
        Cuda(library)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (2, "CUDA failed in cudaMalloc: out of memory (cudaErrorMemoryAllocation). Close other programs"),
        (700, "CUDA failed in cudaMalloc: an illegal memory access was encountered (cudaErrorIllegalAddress)."),
    ],
)
def test_a_failed_call_is_one_clear_error(code: int, message: str) -> None:
    library = FakeCudart()
    library.failing["cudaMalloc"] = code
    with pytest.raises(BackendError) as refused:
        Cuda(library).allocate(16)
    assert str(refused.value).startswith(message)


def test_what_cannot_be_recorded_ends_the_recording() -> None:
    library = FakeCudart()
    gpu = Cuda(library)
    stream = gpu.stream()

    def refuse() -> None:
        raise BackendError("not this")

    with pytest.raises(BackendError, match="not this"):
        gpu.record(stream, refuse)
    assert not library.graphs
    gpu.synchronize(stream)


@pytest.mark.parametrize("version", ["12", "13"])
def test_nvidias_library_has_every_function_and_reports_through_it(version: str) -> None:
    library: Any = cuda._declared(cudart(version))
    number = ctypes.c_int()
    assert library.cudaRuntimeGetVersion(ctypes.byref(number)) == 0
    assert number.value // 1000 == int(version)
    count = ctypes.c_int()
    if library.cudaGetDeviceCount(ctypes.byref(count)) == 0:
        pytest.skip("there is a GPU here: scripts/test-gpu")
    with pytest.raises(BackendError, match=r"CUDA failed in cudaGetDeviceCount: .* \(cudaError\w+\)\.") as refused:
        Cuda(library)
    assert "\n" not in str(refused.value)


def test_a_machine_without_the_library_is_told_where_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "_LIBRARIES", ("libcudart.so.none",))
    with pytest.raises(BackendError, match="on a Jetson it comes with JetPack"):
        load_cuda()


def test_a_library_that_lacks_a_function_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "_LIBRARIES", ("libc.so.6",))
    with pytest.raises(BackendError, match="there is no CUDA runtime"):
        load_cuda()
