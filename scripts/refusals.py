"""What refusing takes: peak memory and time of commands that are given hostile files, beside the same command idle.

``python -m scripts.refusals`` prints a table, and ends with exit code 1 where one takes more than 200 MB more.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from edge.bundles.bundle import MANIFEST, shipped_folder

__all__ = ["CASES", "Case", "Taken", "main", "measure"]

_MOST_MB: Final = 200
_MOST_S: Final = 120.0
_VERIFY: Final = ("edge", "bundle", "verify")
_ACTIVATE: Final = ("edge", "bundle", "activate")
_IMPORT: Final = ("convert", "import")
_READY: Final = ("edge", "bundle", "import", "--out", "never")
_CLASSIFY: Final = ("edge", "classify")
_COMPARE: Final = ("edge", "compare")
_LIVE: Final = ("camera_demo", "demo", "json:-", "--max-frames", "1", "--config")
_ZEROS: Final = bytes(1 << 20)


@dataclass(frozen=True, slots=True)
class Case:
    """A file and the command that is to refuse it."""

    name: str
    command: tuple[str, ...]
    write: Callable[[Path], Path]
    """Writes it somewhere below a folder, and gives its path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a command took, with its children."""

    exit_code: int
    peak_mb: float
    seconds: float
    line: str
    """The last one it said."""


def _file(name: str, content: Callable[[], bytes] | bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content())
        return path

    return write


def _archive(name: str, method: int, mb: int, member: str = MANIFEST) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        with (
            zipfile.ZipFile(folder / name, "w", method, compresslevel=1) as archive,
            archive.open(member, "w", force_zip64=True) as file,
        ):
            for _ in range(mb):
                file.write(_ZEROS)
        return folder / name

    return write


def _many_members(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "many.zip", "w") as archive:
        for number in range(200_000):
            archive.writestr(f"{number:020}", b"")
    return folder / "many.zip"


def _bundle(text: Callable[[str], bytes]) -> Callable[[Path], Path]:
    """The demo's folder, with links to its files and another manifest."""

    def write(folder: Path) -> Path:
        demo = shipped_folder("demo")
        assert demo is not None
        (folder / "bundle").mkdir()
        (folder / "bundle" / MANIFEST).write_bytes(text((demo / MANIFEST).read_text(encoding="utf-8")))
        return folder / "bundle"

    return write


def _sparse(name: str, head: bytes, size_bytes: int) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        with (folder / name).open("wb") as file:
            file.write(head)
            file.truncate(size_bytes)
        return folder / name

    return write


def _npy(shape: tuple[int, ...]) -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return content.getvalue()


def _npz(shape: tuple[int, ...]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.npy", _npy(shape))
    return content.getvalue()


def _safetensors(announced: int, header: bytes = b"{}") -> bytes:
    return struct.pack("<Q", announced) + header


def _strided(folder: Path) -> Path:
    import torch

    value = torch.zeros(1, dtype=torch.float16)
    torch.save({"conv.weight": torch.as_strided(value, (10**4, 10**5), (0, 0))}, folder / "stride.pth")
    return folder / "stride.pth"


def _h5(folder: Path) -> Path:
    import h5py

    with h5py.File(folder / "big.h5", "w") as file:
        file.create_dataset("conv1/conv1/kernel:0", (10, 100, 1000, 1000), "f4", chunks=(1, 1, 1000, 1000))
    return folder / "big.h5"


def _onnx(folder: Path) -> Path:
    import onnx

    weight = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[10**5, 10**5])
    graph = onnx.GraphProto(name="g", initializer=[weight])
    onnx.save(onnx.ModelProto(ir_version=8, graph=graph), str(folder / "big.onnx"))
    return folder / "big.onnx"


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(width * 3 + 1)) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


CASES: Final = (
    Case("archive: bzip2, 1.5 GB", _ACTIVATE, _archive("b.zip", zipfile.ZIP_BZIP2, 1500)),
    Case("archive: lzma, 300 MB", _ACTIVATE, _archive("b.zip", zipfile.ZIP_LZMA, 300)),
    Case("archive: deflate, 1.5 GB", _ACTIVATE, _archive("b.zip", zipfile.ZIP_DEFLATED, 1500)),
    Case("archive: 200,000 members", _ACTIVATE, _many_members),
    Case("archive: a sparse file of 1 TB", _ACTIVATE, _sparse("b.zip", b"PK\x03\x04", 2**40)),
    Case("manifest: 3.9 MB of brackets", _VERIFY, _bundle(lambda text: b"[" * 3_900_000)),
    Case("manifest: 3.9 MB of numbers", _VERIFY, _bundle(lambda text: b'{"a":[' + b"1," * 1_900_000 + b"1]}")),
    Case("manifest: 3.9 MB of objects", _VERIFY, _bundle(lambda text: b'{"a":[' + b"{}," * 1_290_000 + b"{}]}")),
    Case("manifest: a number of 3 MB", _VERIFY, _bundle(lambda text: b'{"a":' + b"9" * 3_000_000 + b"}")),
    Case("manifest: 200 MB", _VERIFY, _bundle(lambda text: b" " * 200_000_000)),
    Case("manifest: a name of 3 MB", _VERIFY, _bundle(
        lambda text: json.dumps(json.loads(text) | {"name": "x" * 3_000_000}).encode())),
    Case("manifest: 2,000 variants", _VERIFY, _bundle(
        lambda text: json.dumps(json.loads(text) | {"variants": json.loads(text)["variants"] * 250}).encode())),
    Case("model: a sparse file of 20 GB", _READY, _sparse("m.tflite", b"\x1c\0\0\0TFL3", 20 << 30)),
    Case("npz: 1.2 GB of zeros", _IMPORT, _archive("b.npz", zipfile.ZIP_DEFLATED, 1200, "a.npy")),
    Case("npz: a header of 4 TB", _IMPORT, _file("b.npz", _npz((10**12,)))),
    Case("npz: 200,000 members", _IMPORT, lambda folder: _many_members(folder).rename(folder / "many.npz")),
    Case("safetensors: a header of 2^60 bytes", _IMPORT, _file("b.safetensors", _safetensors(2**60))),
    Case("safetensors: a header of 90 MB", _IMPORT, _file(
        "b.safetensors", lambda: _safetensors(90_000_000, b'{"a":[' + b"1," * 44_999_996 + b"1]}"))),
    Case("torch: 10^9 values with stride 0", _IMPORT, _strided),
    Case("torch: a sparse file of 20 GB", _IMPORT, _sparse("b.pth", b"\x80\x02", 20 << 30)),
    Case("h5: 4 GB, never written", _IMPORT, _h5),
    Case("onnx: a tensor of 40 GB", _IMPORT, _onnx),
    Case("onnx: a sparse file of 20 GB", _IMPORT, _sparse("b.onnx", b"\x08\x08", 20 << 30)),
    Case("keras: 1 GB of zeros", _IMPORT, _archive("b.keras", zipfile.ZIP_DEFLATED, 1000, "config.json")),
    Case("picture: PNG 30,000 x 30,000", _CLASSIFY, _file("b.png", lambda: _png(30_000, 30_000))),
    Case("picture: a sparse file of 20 GB", _CLASSIFY, _sparse("b.jpg", b"\xff\xd8\xff\xe0", 20 << 30)),
    Case("profile: 7 MB of objects", _COMPARE, _file("p.json", lambda: b'{"a":[' + b"{}," * 2_300_000 + b"{}]}")),
    Case("profile: a sparse file of 20 GB", _COMPARE, _sparse("p.json", b"{", 20 << 30)),
    Case("configuration: a sparse file of 20 GB", _LIVE, _sparse("c.toml", b"a = 1\n", 20 << 30)),
    Case("configuration: 5 MB of brackets", _LIVE, _file("c.toml", lambda: b"a = " + b"[" * 5_000_000)),
)  # fmt: skip


def measure(command: Sequence[str], path: Path, folder: Path) -> Taken:
    """Run a command on a file."""
    arguments = [*command, str(path), *([str(path)] if command == _COMPARE else [])]
    places = {name: str(folder) for name in ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")}
    started_s = time.monotonic()
    with (folder / "said").open("w+b") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], stdout=subprocess.DEVNULL, stderr=said, cwd=folder,
            env={**os.environ, **places, "PYTHONPATH": str(Path(__file__).parents[1])},
        )  # fmt: skip
        status = usage = None
        while status is None:
            done, code, usage = os.wait4(process.pid, os.WNOHANG)
            if done:
                status = os.waitstatus_to_exitcode(code)
            elif time.monotonic() - started_s > _MOST_S:
                os.kill(process.pid, signal.SIGKILL)
            else:
                time.sleep(0.02)
        process.returncode = status
        said.seek(0)
        lines = said.read().decode(errors="replace").splitlines() or [""]
    assert usage is not None
    return Taken(exit_code=status, peak_mb=usage.ru_maxrss / 1024, seconds=time.monotonic() - started_s, line=lines[-1])


def _written(case: Case, folder: Path) -> Path:
    """Write a case in another process: a child's peak begins with what its parent has."""
    process = os.fork()
    if process == 0:
        (folder / "path").write_text(str(case.write(folder)))
        os._exit(0)
    os.waitpid(process, 0)
    return Path((folder / "path").read_text())


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 where a refusal takes too much, or is none."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m scripts.refusals")
    parser.add_argument("--only", default="", help="cases whose name begins so")
    options = parser.parse_args(arguments)
    idle_mb: dict[tuple[str, ...], float] = {}
    too_much = 0
    for case in CASES:
        if not case.name.startswith(options.only):
            continue
        with tempfile.TemporaryDirectory(prefix="refusal-") as name:
            folder = Path(name)
            if case.command not in idle_mb:
                idle_mb[case.command] = measure(case.command, folder / "missing", folder).peak_mb
            taken = measure(case.command, _written(case, folder), folder)
        above_mb = taken.peak_mb - idle_mb[case.command]
        is_bad = above_mb > _MOST_MB or taken.exit_code != 1
        too_much += is_bad
        figures = f"{above_mb:6.0f} MB {taken.seconds:5.1f} s  exit {taken.exit_code}"
        print(f"{'!' if is_bad else ' '} {case.name:42} {figures}  {taken.line[:110]}")
        sys.stdout.flush()
    print(f"idle: {', '.join(f'{command[0]} {command[1]} {mb:.0f} MB' for command, mb in idle_mb.items())}")
    return 1 if too_much else 0


if __name__ == "__main__":
    sys.exit(main())
