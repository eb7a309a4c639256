"""Checkpoints whose headers lie: one line each, and never more memory than the file can need."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from convert.checkpoints.bounds import LARGEST_RATIO, check_size
from convert.checkpoints.loading import load_checkpoint
from convert.errors import CheckpointError
from convert.model import ModelConfig

Writer = Callable[[Path], object]


def npz(shape: tuple[int, ...], content: bytes = b"", method: int = zipfile.ZIP_STORED) -> Writer:
    """An archive of one float array whose header announces ``shape``."""

    def write(path: Path) -> None:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("a.npy", header.getvalue() + content)

    return write


def long_header(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + b" " * 1000)


def torch_file(tensor: torch.Tensor) -> Writer:
    return lambda path: torch.save({"conv.weight": tensor}, path)


def half(*shape: int) -> torch.Tensor:
    """A tensor of one number, seen again and again."""
    return torch.as_strided(torch.zeros(1, dtype=torch.float16), shape, (0,) * len(shape))


def safetensors(header: object, content: bytes = b"", more: int = 0) -> Writer:
    text = json.dumps(header).encode()
    return lambda path: path.write_bytes(struct.pack("<Q", len(text) + more) + text + content)


def tensors(**entries: tuple[list[int], list[int]]) -> dict[str, object]:
    return {name: {"dtype": "F32", "shape": shape, "data_offsets": ends} for name, (shape, ends) in entries.items()}


def native(**changes: object) -> Writer:
    config = ModelConfig(alpha=1.0, classes=10).to_dict() | changes
    header = {"__metadata__": {"mobilenet_edge_config": json.dumps(config)}, **tensors(a=([1], [0, 4]))}
    return safetensors(header, b"\0" * 4)


def h5(make: Callable[[h5py.File], object]) -> Writer:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            make(file)

    return write


def never_written(*shape: int, chunks: tuple[int, ...] | None = None) -> Writer:
    return h5(lambda file: file.create_dataset("conv1/conv1/kernel:0", shape, "f4", chunks=chunks))


def h5_linked(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    with h5py.File(path, "w") as file:
        file["conv1"] = h5py.ExternalLink(str(path.with_name("pipe")), "/")


def h5_elsewhere(path: Path) -> None:
    secret = path.with_name("secret")
    secret.write_bytes(bytes(16))
    with h5py.File(path, "w") as file:
        file.create_dataset("conv1/conv1/kernel:0", (1, 1, 2, 2), "f4", external=[(str(secret), 0, 16)])


def h5_loop(file: h5py.File) -> None:
    file.create_group("conv1")["conv1"] = h5py.SoftLink("/conv1")


def keras_packed(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("config.json", b"{}")
        archive.writestr("model.weights.h5", bytes(1000))


def many_tensors(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(5_000_000))


class Announcing:
    """Pickles as an array of a terabyte."""

    def __reduce__(self) -> tuple[object, ...]:
        return np.ndarray, ((10**12,), "f4")


LIES: dict[str, tuple[Writer, str]] = {
    "npz of 4 TB": (npz((10**12,)), "has 0 bytes: it is damaged"),
    "npz of a negative size": (npz((-5, 3)), "has 0 bytes: it is damaged"),
    "npz cut short": (npz((10,), bytes(36)), "of shape (10,) in float32 has 36 bytes"),
    "npz of zeros": (npz((10**7,), bytes(4 * 10**7), zipfile.ZIP_DEFLATED), "its content would take 40 MB, but"),
    "npz packed by bzip2": (npz((10,), bytes(40), zipfile.ZIP_BZIP2), "is packed by another method than deflate"),
    "npz with a header of 2 GB": (long_header, "array 'a.npy' is damaged"),
    "torch, stride 0, 2 TB": (torch_file(half(10**6, 10**6)), "its tensors would take 4,000,000 MB, but the file has"),
    "torch, stride 0, 200 MB": (torch_file(half(10**4, 10**4)), "its tensors would take 400 MB, but the file has"),
    "torch, hundreds of thousands of tensors": (
        many_tensors,
        "its list of tensors has 5000000 bytes, more than 4000000",
    ),
    "torch without values": (torch_file(torch.zeros(3, device="meta")), "has a shape but no values"),
    "torch, complex": (torch_file(torch.zeros(3, dtype=torch.complex64)), "is of complex64: expected numbers"),
    "a pickle of a terabyte": (lambda path: path.write_bytes(pickle.dumps(Announcing(), 2)), ""),
    "safetensors beyond the end": (safetensors(tensors(a=([4], [0, 16])), bytes(8)), "is damaged or cut short"),
    "safetensors overlapping": (safetensors(tensors(a=([2], [0, 8]), b=([2], [0, 8])), bytes(8)), "is damaged"),
    "safetensors header of an exabyte": (safetensors({"a": 1}, more=2**60), "is damaged or cut short"),
    "safetensors of 2^80": (safetensors(tensors(a=([2**40, 2**40], [0, 8])), bytes(8)), "is damaged or cut short"),
    "configuration of 10^9 classes": (native(classes=10**9), "lacks tensor"),
    "configuration of a width of 10^9": (native(alpha=1e9), ""),
    "configuration nested deeply": (
        safetensors({"__metadata__": {"mobilenet_edge_config": "[" * 100_000}, **tensors(a=([1], [0, 4]))}, bytes(4)),
        "its configuration",
    ),
    "h5 of 4 TB": (never_written(1000, 1000, 1000, 1000, chunks=(1, 1, 1000, 1000)), "larger than the file can hold"),
    "h5 of 4 GB": (never_written(10, 100, 1000, 1000, chunks=(1, 1, 1000, 1000)), "larger than the file can hold"),
    "h5 linked to a pipe": (h5_linked, "links are never followed"),
    "h5 with numbers in another file": (h5_elsewhere, "does not hold its numbers itself"),
    "h5 linked to itself": (h5(h5_loop), ""),
    "keras packed by bzip2": (keras_packed, "is packed by another method than deflate"),
    "a pipe": (os.mkfifo, "it is not a plain file, but a pipe, socket or device"),
}
"""Writers of files, and what the refusal says."""


@pytest.mark.parametrize("name", LIES)
def test_a_header_that_lies_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    write, expected = LIES[name]
    path = tmp_path / "checkpoint"
    write(path)
    with pytest.raises(CheckpointError) as refused:
        load_checkpoint(path)
    message = str(refused.value)
    assert expected in message and "\n" not in message and len(message) < 800
    assert str(path) in message


def test_refusing_takes_little_memory(tmp_path: Path) -> None:
    """All of them in one process: its peak is hardly above what importing the reader takes."""
    paths = []
    for number, (write, _) in enumerate(LIES.values()):
        (tmp_path / str(number)).mkdir()
        paths.append(tmp_path / str(number) / "checkpoint")
        write(paths[-1])
    program = (
        "import resource, sys\n"
        "from convert.checkpoints.loading import load_checkpoint\n"
        "from convert.errors import CheckpointError\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10\n"
        "idle = peak()\n"
        "for path in sys.argv[1:]:\n"
        "    try: load_checkpoint(path)\n"
        "    except CheckpointError: continue\n"
        "print(peak() - idle)"
    )
    done = subprocess.run([sys.executable, "-c", program, *map(str, paths)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 200


def test_what_a_file_may_announce_grows_with_it(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(bytes(1_000_000))
    check_size(path, "all", LARGEST_RATIO * 1_000_000)
    with pytest.raises(CheckpointError, match=r"all would take 40 MB, but the file has 1\.0 MB: it is damaged"):
        check_size(path, "all", 40_000_000)


def test_sparse_weights_are_read_from_a_deflated_archive(tmp_path: Path) -> None:
    """Half of them zero, as pruning leaves them: far from a bomb."""
    weights = np.random.default_rng(0).normal(size=(1000, 100)).astype(np.float32)
    weights[::2] = 0
    np.savez_compressed(tmp_path / "pruned.npz", weight=weights)
    with pytest.raises(CheckpointError) as refused:
        load_checkpoint(tmp_path / "pruned.npz")
    assert "damaged" not in str(refused.value)
