"""What a ``.tflite`` file says about itself: its labels and how pictures are normalized, where it says so.

The format is TensorFlow Lite Metadata: a flatbuffer inside the model (``metadata_schema.fbs`` of
tflite-support)
and files in a zip archive appended to it.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["FileMetadata", "read_metadata"]

_NAME: Final = b"TFLITE_METADATA"
_MOST_LABEL_BYTES: Final = 1 << 20
_NORMALIZATION: Final = 1
"""``NormalizationOptions`` in the union ``ProcessUnitOptions``."""
# Fields by their place in the schema's tables.
_MODEL_BUFFERS, _MODEL_METADATA = 4, 6
_METADATA_NAME, _METADATA_BUFFER = 0, 1
_BUFFER_DATA: Final = 0
_SUBGRAPHS: Final = 3
_INPUT_TENSORS: Final = 2
_PROCESS_UNITS: Final = 4
_OPTIONS_TYPE, _OPTIONS = 0, 1
_MEAN, _STD = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMetadata:
    """What the file says; None for what it does not say."""

    labels: tuple[str, ...] | None = None
    mean: tuple[float, ...] | None = None
    """Subtracted from pixels of 0 to 255; one value, or one for each channel."""
    std: tuple[float, ...] | None = None


def read_metadata(path: Path) -> FileMetadata:
    """Read what is there; damaged metadata counts as none."""
    labels = _labels(path)
    try:
        mean, std = _normalization(path.read_bytes())
    except Exception:  # noqa: BLE001 - a flatbuffer that is damaged ends in any of many errors
        mean = std = None
    return FileMetadata(labels=labels, mean=mean or None, std=std or None)


def _labels(path: Path) -> tuple[str, ...] | None:
    """The lines of the first text file in the appended archive, one whose name has ``label`` in it before others."""
    try:
        with zipfile.ZipFile(path) as archive:
            texts = [info for info in archive.infolist() if info.filename.endswith(".txt")]
            texts.sort(key=lambda info: "label" not in info.filename)
            if not texts or texts[0].file_size > _MOST_LABEL_BYTES:
                return None
            lines = archive.read(texts[0]).decode("utf-8-sig").splitlines()
            return tuple(line.strip() for line in lines if line.strip()) or None
    except (zipfile.BadZipFile, OSError, UnicodeDecodeError, RuntimeError, NotImplementedError):
        return None


def _normalization(content: bytes) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    model = _Table.root(content)
    for entry in model.tables(_MODEL_METADATA):
        if entry.text(_METADATA_NAME) == _NAME:
            buffer = model.tables(_MODEL_BUFFERS)[entry.number(_METADATA_BUFFER)]
            for subgraph in _Table.root(buffer.data(_BUFFER_DATA)).tables(_SUBGRAPHS):
                for tensor in subgraph.tables(_INPUT_TENSORS):
                    for unit in tensor.tables(_PROCESS_UNITS):
                        if unit.number(_OPTIONS_TYPE, size=1) == _NORMALIZATION:
                            options = unit.table(_OPTIONS)
                            return options.floats(_MEAN), options.floats(_STD)
    return None, None


class _Table:
    """One flatbuffer table, its fields by number."""

    def __init__(self, table: Any) -> None:
        self._table = table

    @classmethod
    def root(cls, content: bytes) -> _Table:
        from flatbuffers import encode, number_types
        from flatbuffers.table import Table

        place = encode.Get(number_types.UOffsetTFlags.packer_type, content, 0)
        return cls(Table(content, place))

    def _offset(self, field: int) -> int:
        return int(self._table.Offset(4 + 2 * field))

    def number(self, field: int, size: int = 4) -> int:
        offset = self._offset(field)
        start = self._table.Pos + offset
        return int.from_bytes(self._table.Bytes[start : start + size], "little") if offset else 0

    def table(self, field: int) -> _Table:
        from flatbuffers.table import Table

        place = self._table.Indirect(self._table.Pos + self._offset(field))
        return _Table(Table(self._table.Bytes, place))

    def tables(self, field: int) -> list[_Table]:
        from flatbuffers.table import Table

        offset = self._offset(field)
        if not offset:
            return []
        start, count = self._table.Vector(offset), self._table.VectorLen(offset)
        return [_Table(Table(self._table.Bytes, self._table.Indirect(start + 4 * n))) for n in range(count)]

    def text(self, field: int) -> bytes:
        offset = self._offset(field)
        return bytes(self._table.String(offset + self._table.Pos)) if offset else b""

    def data(self, field: int) -> bytes:
        offset = self._offset(field)
        start = self._table.Vector(offset)
        return bytes(self._table.Bytes[start : start + self._table.VectorLen(offset)])

    def floats(self, field: int) -> tuple[float, ...]:
        import struct

        offset = self._offset(field)
        if not offset:
            return ()
        start, count = self._table.Vector(offset), self._table.VectorLen(offset)
        return struct.unpack_from(f"<{count}f", self._table.Bytes, start)
