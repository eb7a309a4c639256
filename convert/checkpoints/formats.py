"""Formats of checkpoints, told by a file's first bytes or an archive's names, without the formats' libraries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["KERAS_CONFIG", "is_hdf5", "is_keras_archive", "is_onnx", "is_tflite"]

KERAS_CONFIG: Final = "config.json"
_HDF5: Final = b"\x89HDF\r\n\x1a\n"
_TFLITE: Final = b"TFL3"
_ONNX_FIELDS: Final = (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42)
"""How producer, its version, domain, version, text, graph and operator sets begin."""


def is_hdf5(head: bytes) -> bool:
    """Whether a file that begins so is HDF5, as Keras' ``.h5`` is."""
    return head.startswith(_HDF5)


def is_tflite(head: bytes) -> bool:
    """Whether a file that begins so is TensorFlow Lite's."""
    return head[4:8] == _TFLITE


def is_onnx(head: bytes) -> bool:
    """Whether a file that begins so is ONNX: the version of its format, then another field of ``ModelProto``."""
    return len(head) > 2 and head[0] == 0x08 and 3 <= head[1] < 32 and head[2] in _ONNX_FIELDS


def is_keras_archive(names: Sequence[str]) -> bool:
    """Whether a zip archive of files with these names is a ``.keras``."""
    return KERAS_CONFIG in names and any(name.endswith(".h5") for name in names)
