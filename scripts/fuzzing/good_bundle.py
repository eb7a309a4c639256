"""A good bundle, small enough to be written thousands of times."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import struct
import zlib
from functools import cache
from pathlib import Path
from typing import Any, Final

from scripts.fuzzing.small_models import CLASSES, SIDE, small_models

__all__ = ["LABELS", "MODEL", "PICTURE", "entry_of", "good_files", "good_manifest", "png", "text_of", "write_folder"]

MODEL: Final = "mobilenet_v1_0.25_32_int8.tflite"
LABELS: Final = "labels.txt"
PICTURE: Final = "golden/0.png"


@cache
def good_files() -> dict[str, bytes]:
    """The good bundle's files by name, without its manifest."""
    labels = "".join(f"class {n}\n" for n in range(CLASSES)).encode()
    return {LABELS: labels, MODEL: small_models()["mobilenet"], PICTURE: png(SIDE, SIDE)}


def entry_of(name: str, content: bytes) -> dict[str, Any]:
    """What the manifest says of a file."""
    return {"file": name, "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@cache
def good_manifest() -> dict[str, Any]:
    """Its manifest as JSON values."""
    files = good_files()
    accuracy = {"agreement": 0.9, "pictures": 10, "measured_on": "pictures"}
    artifact = {**entry_of(MODEL, files[MODEL]), "format": "tflite", "precision": "int8", "accuracy": accuracy}
    variant = {"variant": "mobilenet_v1_0.25_32", "mult_adds": 1, "parameters": 1, "artifacts": [artifact]}
    return {
        "schema_version": 1,
        "name": "small",
        "created": "2027-01-01T00:00:00+00:00",
        "serial": 2,
        "classes": CLASSES,
        "labels": entry_of(LABELS, files[LABELS]),
        "preprocessing": {"mean": [127.5] * 3, "std": [127.5] * 3, "crop_fraction": 0.875, "colour_order": "RGB"},
        "source": {"checkpoint": "x"},
        "golden": {
            "pictures": [entry_of(PICTURE, files[PICTURE])],
            "inputs": {"32": [[0.0] * 12]},
            "answers": {},
        },
        "variants": [variant],
    }


def png(width: int, height: int) -> bytes:
    """A picture of noise where it is small; else a header that announces one, and little data."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    noise = random.Random(0)
    is_small = width * height <= 10_000
    rows = b"".join(b"\0" + noise.randbytes(3 * width) for _ in range(height)) if is_small else b"\0" * 99
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def text_of(values: dict[str, Any], *, is_ascii: bool = True) -> bytes:
    """A manifest as bytes."""
    return json.dumps(values, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")


def write_folder(place: Path, files: dict[str, bytes]) -> None:
    """Write files below a new folder, those that stay in it."""
    place.mkdir()
    for name, content in files.items():
        with contextlib.suppress(OSError, ValueError):  # names that no disk takes
            path = place / name
            if place not in path.parents or ".." in path.parts:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
