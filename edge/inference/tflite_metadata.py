"""What a ``.tflite`` file says about itself: its labels and how pictures are normalized, where it says so.

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
    except (MalformedError, IndexError):
        mean = std = None
    return FileMetadata(labels=labels, mean=mean or None, std=std or None)


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


def _normalization(content: bytes) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    model = Table.root(content)
    for entry in model.tables(_MODEL_METADATA):
        if entry.data(_METADATA_NAME) == _NAME:
            buffer = list(model.tables(_MODEL_BUFFERS))[entry.number(_METADATA_BUFFER, code="I")]
            for subgraph in Table.root(buffer.data(_BUFFER_DATA)).tables(_SUBGRAPHS):
                for tensor in subgraph.tables(_INPUT_TENSORS):
                    for unit in tensor.tables(_PROCESS_UNITS):
                        options = unit.table(_OPTIONS)
                        if unit.number(_OPTIONS_TYPE, code="B") == _NORMALIZATION and options is not None:
                            return options.numbers(_MEAN, "f"), options.numbers(_STD, "f")
    return None, None
