import io
import zipfile
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import encode, number_types
from flatbuffers.table import Table

from convert.checkpoints import Checkpoint
from convert.data.calibration_data import CalibrationData
from convert.errors import ConversionError
from convert.export.tflite import facts, to_tflite
from convert.pipeline.variant import emit
from convert.quantization import QuantizedNetwork, fold, quantize
from edge.inference.metadata_writer import METADATA, ModelCard, append_labels, metadata
from edge.vision.preprocess import Preprocessing
from tests.convert.conftest import CLASSES, LABELS
from tests.convert.test_to_tflite import run

CARD = ModelCard(labels=LABELS, version="3", author="somebody", license="Apache-2.0")


@pytest.fixture(scope="module")
def network(checkpoint: Checkpoint, data: CalibrationData) -> QuantizedNetwork:
    return quantize(fold(checkpoint.model), data.calibration.pixels[64], Preprocessing())


class Reader:
    """A table of a flatbuffer, its fields by number; knows nothing of what wrote it."""

    def __init__(self, data: bytes, place: int | None = None) -> None:
        root = encode.Get(number_types.UOffsetTFlags.packer_type, data, 0) if place is None else place
        self.data, self.table = data, Table(data, root)

    def slot(self, number: int) -> int:
        return int(self.table.Offset(4 + 2 * number))

    def text(self, number: int) -> str | None:
        return self.table.String(self.slot(number) + self.table.Pos).decode() if self.slot(number) else None

    def child(self, number: int) -> "Reader":
        return Reader(self.data, self.table.Indirect(self.slot(number) + self.table.Pos))

    def children(self, number: int) -> list["Reader"]:
        start = self.table.Vector(self.slot(number)) if self.slot(number) else 0
        count = self.table.VectorLen(self.slot(number)) if start else 0
        return [Reader(self.data, self.table.Indirect(start + 4 * n)) for n in range(count)]

    def floats(self, number: int) -> list[float]:
        values: list[float] = self.table.GetVectorAsNumpy(number_types.Float32Flags, self.slot(number)).tolist()
        return values

    def number(self, number: int, flags: Any = number_types.Int8Flags) -> int:
        return int(self.table.Get(flags, self.slot(number) + self.table.Pos)) if self.slot(number) else 0


def embedded(content: bytes) -> bytes:
    model: Any = schema.ModelT.InitFromPackedBuf(content, 0)
    (entry,) = model.metadata
    assert entry.name == METADATA.encode()
    return bytes(model.buffers[entry.buffer].data)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_the_metadata_tells_what_the_schema_asks_for(network: QuantizedNetwork, dtype: Any) -> None:
    told = embedded(to_tflite(network, io=dtype, card=CARD))
    assert told == metadata(facts(network, dtype), CARD)
    assert told[4:8] == b"M001"
    root = Reader(told)
    assert root.text(0) == "mobilenet_v1_0.25_64"
    assert [root.text(n) for n in (2, 4, 5, 7)] == ["3", "somebody", "Apache-2.0", "1.0.0"]
    (subgraph,) = root.children(3)
    (source,), (target,) = subgraph.children(2), subgraph.children(3)
    low, high = (-128.0, 127.0) if dtype == "int8" else (0.0, 255.0)
    for tensor in (source, target):
        assert (tensor.child(5).floats(1), tensor.child(5).floats(0)) == ([low], [high])
    content = source.child(3)
    assert (content.number(0), content.child(1).number(0)) == (2, 1), "an image, RGB"
    assert [content.child(1).child(1).number(n, number_types.Uint32Flags) for n in (0, 1)] == [64, 64]
    (unit,) = source.children(4)
    assert unit.number(0) == 1, "normalization"
    assert (unit.child(1).floats(0), unit.child(1).floats(1)) == ([127.5] * 3, [127.5] * 3)
    (file,) = target.children(6)
    assert (file.text(0), file.number(2)) == ("labels.txt", 2)


def test_normalizing_and_quantizing_as_told_gives_the_pixels(network: QuantizedNetwork) -> None:
    pixels = np.arange(256)
    levels = np.round((pixels - 127.5) / 127.5 / network.input.scale + network.input.zero_point + 1e-3)
    assert np.array_equal(levels, pixels - 128)


def test_the_labels_lie_in_an_archive_behind_the_model_as_they_are(network: QuantizedNetwork) -> None:
    bare, content = to_tflite(network, card=replace(CARD, labels=())), to_tflite(network, card=CARD)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (entry,) = archive.infolist()
        assert (entry.filename, entry.compress_type) == ("labels.txt", zipfile.ZIP_STORED)
        assert archive.read(entry).decode().splitlines() == list(LABELS)
    assert not zipfile.is_zipfile(io.BytesIO(bare))


def test_labels_of_any_language_survive() -> None:
    with zipfile.ZipFile(io.BytesIO(append_labels(b"model", ["käse", "梨"]))) as archive:
        assert archive.read("labels.txt").decode() == "käse\n梨\n"


def test_what_is_not_known_is_left_out(network: QuantizedNetwork) -> None:
    root = Reader(embedded(to_tflite(network)))
    assert [root.text(n) for n in (2, 4, 5)] == [None, None, None]
    assert root.children(3)[0].children(3)[0].children(6) == []


def test_a_colour_order_that_the_schema_does_not_know_is_not_called_rgb(network: QuantizedNetwork) -> None:
    other = replace(network, preprocessing=Preprocessing(colour_order="BGR", mean=(1, 2, 3), std=(4, 5, 6)))
    source = Reader(metadata(facts(other, "uint8"), CARD)).children(3)[0].children(2)[0]
    assert source.child(3).child(1).number(0) == 0
    assert "BGR" in (source.text(1) or "")
    options = source.children(4)[0].child(1)
    assert (options.floats(0), options.floats(1)) == ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])


def test_the_same_card_gives_the_same_bytes(network: QuantizedNetwork) -> None:
    assert to_tflite(network, card=CARD) == to_tflite(network, card=CARD)


def test_a_file_with_labels_answers_as_one_without(network: QuantizedNetwork, data: CalibrationData) -> None:
    pixels = data.held_out.pixels[64][:4]
    assert np.array_equal(run(to_tflite(network, card=CARD), pixels), run(to_tflite(network), pixels))


def test_labels_that_are_too_few_are_refused(network: QuantizedNetwork) -> None:
    with pytest.raises(ConversionError) as error:
        to_tflite(network, card=ModelCard(labels=LABELS[:-1]))
    assert str(error.value) == "There are 6 labels for 7 classes: expected as many."


def test_an_emitted_file_names_its_checkpoint(checkpoint: Checkpoint, data: CalibrationData) -> None:
    emitted = emit(checkpoint, 64, data, card=ModelCard(labels=LABELS), min_agreement=0)[0]
    root = Reader(embedded(emitted.content))
    assert root.text(2) == checkpoint.sha256[:12]
    assert len(LABELS) == CLASSES and zipfile.is_zipfile(io.BytesIO(emitted.content))
