"""What a ``.tflite`` file says about itself: its labels, how pictures are normalized, by whom and under which licence.

The format is TensorFlow Lite Metadata: a flatbuffer inside the model (``metadata_schema.fbs`` of
tflite-support) and files in a zip archive appended to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.inference.flatbuffer import MalformedError, Table
from edge.zip_files import DAMAGE, open_archive, open_packed

__all__ = ["FileMetadata", "read_metadata"]

_NAME: Final = b"TFLITE_METADATA"
_MOST_LABEL_BYTES: Final = 1 << 20
_MOST_TEXT: Final = 4096
"""Bytes of an author or a licence; more is no name."""
_NORMALIZATION: Final = 1
"""``NormalizationOptions`` in the union ``ProcessUnitOptions``."""
# Fields by their place in the schema's tables.
_MODEL_BUFFERS, _MODEL_METADATA = 4, 6
_METADATA_NAME, _METADATA_BUFFER = 0, 1
_BUFFER_DATA: Final = 0
_SUBGRAPHS, _AUTHOR, _LICENSE = 3, 4, 5
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
    author: str = ""
    license: str = ""
    """Of the weights; both empty where the file does not say."""


def read_metadata(path: Path) -> FileMetadata:
    """Read what is there; damaged metadata counts as none."""
    labels = _labels(path)
    try:
        about = _metadata(path.read_bytes())
        mean, std = _normalization(about) if about else ((), ())
        author, license_ = (_text(about, field) if about else "" for field in (_AUTHOR, _LICENSE))
    except (MalformedError, IndexError):
        return FileMetadata(labels=labels)
    return FileMetadata(labels=labels, mean=mean or None, std=std or None, author=author, license=license_)


def _labels(path: Path) -> tuple[str, ...] | None:
    """The lines of the first text file in the appended archive, one whose name has ``label`` in it before others."""
    try:
        with open_archive(path) as archive:
            texts = [info for info in archive.infolist() if info.filename.endswith(".txt")]
            texts.sort(key=lambda info: "label" not in info.filename)
            if not texts or texts[0].file_size > _MOST_LABEL_BYTES:
                return None
            with open_packed(archive, texts[0]) as file:
                lines = file.read(_MOST_LABEL_BYTES).decode("utf-8-sig").splitlines()
            return tuple(line.strip() for line in lines if line.strip()) or None
    except DAMAGE:
        return None


def _metadata(content: bytes) -> Table | None:
    """The metadata's root table, if there is one."""
    model = Table.root(content)
    for entry in model.tables(_MODEL_METADATA):
        if entry.data(_METADATA_NAME) == _NAME:
            buffer = list(model.tables(_MODEL_BUFFERS))[entry.number(_METADATA_BUFFER, code="I")]
            return Table.root(buffer.data(_BUFFER_DATA))
    return None


def _text(about: Table, field: int) -> str:
    """A string on one line, without control characters: it is shown, and written into other files."""
    length = about.length(field) or 0
    found = about.data(field).decode("utf-8", "replace") if length <= _MOST_TEXT else ""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in found).split())


def _normalization(about: Table) -> tuple[tuple[float, ...], tuple[float, ...]]:
    for subgraph in about.tables(_SUBGRAPHS):
        for tensor in subgraph.tables(_INPUT_TENSORS):
            for unit in tensor.tables(_PROCESS_UNITS):
                options = unit.table(_OPTIONS)
                if unit.number(_OPTIONS_TYPE, code="B") == _NORMALIZATION and options is not None:
                    return options.numbers(_MEAN, "f"), options.numbers(_STD, "f")
    return (), ()
