"""What a ``.tflite`` file says about itself: TensorFlow Lite's standard metadata, and the labels.

The metadata is a flatbuffer of its own, kept in one of the model's buffers. The labels are a text file in a zip archive
appended to the model; a runtime that knows nothing of it reads the model and ignores the rest.

Schema 1.0.0 of ``tensorflow_lite_support/metadata/metadata_schema.fbs`` (github.com/tensorflow/tflite-support,
Apache-2.0), from which the numbers of fields, unions and enumerations below are taken. The packages that carry its
generated code weigh 40 MB and more; seven tables do not need it.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edge.vision.preprocess import Preprocessing

__all__ = ["METADATA", "ModelCard", "ModelFacts", "append_labels", "metadata"]

METADATA: Final = "TFLITE_METADATA"
"""The name under which a model lists the buffer that holds its metadata."""

_IDENTIFIER: Final = b"M001"
_PARSER: Final = "1.0.0"
"""The oldest version of the schema that has every field written here."""
_LABELS: Final = "labels.txt"

_COLOURS: Final = {"RGB": np.int8(1), "GRAY": np.int8(2)}  # enum ColorSpaceType; it has no BGR
_AXIS_LABELS: Final = np.int8(2)  # enum AssociatedFileType
_FEATURE, _IMAGE = np.uint8(1), np.uint8(2)  # union ContentProperties
_NORMALIZATION: Final = np.uint8(1)  # union ProcessUnitOptions

_Fields = dict[int, Any]
"""A table: the numbers of its fields, and strings, NumPy scalars and arrays, tables, or lists of tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What a file says about itself besides what follows from the network. Whatever is empty is left out."""

    labels: tuple[str, ...] = ()
    """The name of each class, in order."""
    version: str = ""
    author: str = ""
    license: str = ""
    """The licence of the weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What follows from the network."""

    name: str
    description: str
    """What it is, in the words before ": predicts which of N classes a picture shows"."""
    resolution: int
    classes: int
    preprocessing: Preprocessing
    input_dtype: str
    """NumPy's name of the type of its input: ``int8``, ``uint8`` or ``float32``."""
    output_dtype: str


def metadata(network: ModelFacts, card: ModelCard) -> bytes:
    """The metadata as the bytes of a flatbuffer; the same arguments give the same bytes.

    The normalization is that of the float network, as the schema asks also of quantized ones: a program that applies
    it and then quantizes as the input tensor says arrives at the right integers. Ranges are those of the tensors.

    Args:
        network: What the file computes.
        card: The labels, and what else the file says.
    """
    subgraph = {2: [_picture(network)], 3: [_probabilities(network, card)]}
    root = {
        0: network.name,
        1: f"{network.description}: predicts which of {network.classes} classes a picture shows.",
        2: card.version,
        3: [subgraph],
        4: card.author,
        5: card.license,
        7: _PARSER,
    }
    import flatbuffers  # comes with ai-edge-litert, not with tflite-runtime

    builder = flatbuffers.Builder(1024)
    builder.Finish(_table(builder, root), _IDENTIFIER)
    return bytes(builder.Output())


def append_labels(content: bytes, labels: Sequence[str]) -> bytes:
    """``content``, a model, followed by the archive of its labels, one a line; the same arguments give the same bytes.

    The file is stored as it is, so that programs can map it.
    """
    entry = zipfile.ZipInfo(_LABELS, date_time=(1980, 1, 1, 0, 0, 0))
    entry.create_system, entry.external_attr = 3, 0o644 << 16
    whole = io.BytesIO(content)
    with zipfile.ZipFile(whole, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(entry, "".join(f"{label}\n" for label in labels))
    return whole.getvalue()


def _picture(network: ModelFacts) -> _Fields:
    recipe, side = network.preprocessing, np.uint32(network.resolution)
    properties: _Fields = {1: {0: side, 1: side}}
    if recipe.colour_order in _COLOURS:
        properties[0] = _COLOURS[recipe.colour_order]
    return {
        0: "image",
        1: f"Picture to classify, {side} x {side} pixels {recipe.colour_order} of 0 to 255.",
        3: {0: _IMAGE, 1: properties},
        4: [{0: _NORMALIZATION, 1: {0: np.array(recipe.mean, np.float32), 1: np.array(recipe.std, np.float32)}}],
        5: _range(network.input_dtype),
    }


def _probabilities(network: ModelFacts, card: ModelCard) -> _Fields:
    file = {0: _LABELS, 1: "The name of each class, line N for class N.", 2: _AXIS_LABELS}
    return {
        0: "probability",
        1: f"Probability of each of {network.classes} classes, 0 to 1 once dequantized.",
        3: {0: _FEATURE, 1: {}},
        5: _range(network.output_dtype),
        6: [file] if card.labels else [],
    }


def _range(dtype: str) -> _Fields:
    is_float = np.dtype(dtype).kind == "f"
    limits = (0, 1) if is_float else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return {0: np.array([limits[1]], np.float32), 1: np.array([limits[0]], np.float32)}


def _table(builder: Any, fields: _Fields) -> int:
    """Write what the table refers to, then the table; return where it lies."""
    places = {number: _place(builder, value) for number, value in fields.items() if not isinstance(value, np.generic)}
    builder.StartObject(max(fields, default=-1) + 1)
    for number, value in fields.items():
        if isinstance(value, np.generic):
            getattr(builder, f"Prepend{value.dtype.name.capitalize()}Slot")(number, int(value), 0)
        elif places[number]:
            builder.PrependUOffsetTRelativeSlot(number, places[number], 0)
    return int(builder.EndObject())


def _place(builder: Any, value: Any) -> int:
    """Write a string, table or vector; return where it lies, 0 for an empty string or list, which is left out."""
    if isinstance(value, dict):
        return _table(builder, value)
    if isinstance(value, np.ndarray):
        return int(builder.CreateNumpyVector(value))
    if not value:
        return 0
    if isinstance(value, str):
        return int(builder.CreateString(value))
    tables = [_table(builder, table) for table in value]
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())
