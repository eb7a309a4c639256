import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.logits import divergence, without_softmax
from benchmarks.models import load
from convert.export.onnx import to_onnx
from convert.export.tflite import to_tflite
from convert.model import MobileNetV1, ModelConfig
from convert.pipeline.verification import Reference, answers_of
from convert.quantization import fold, quantize, synthetic_images
from edge.bundles.variant import Variant
from edge.vision.preprocess import Preprocessing

PIXELS = synthetic_images(4, 32)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.manual_seed(0)
    network = fold(MobileNetV1(ModelConfig(alpha=0.25, classes=5)).eval())
    contents = {
        "tflite": to_tflite(quantize(network, PIXELS, Preprocessing())),
        "onnx": to_onnx(network, Variant(0.25, 32)),
    }
    folder = tmp_path_factory.mktemp("files")
    for suffix, content in contents.items():
        (folder / f"model.{suffix}").write_bytes(content)
    return {suffix: folder / f"model.{suffix}" for suffix in contents}


def answers(model: Path) -> np.ndarray:
    with contextlib.closing(load(model)) as backend:
        return answers_of(backend, PIXELS, Preprocessing())


@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
def test_the_divergence_is_that_of_the_logits(files: dict[str, Path], tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"logits.{suffix}"
    path.write_bytes(without_softmax(files[suffix]))
    logits = torch.from_numpy(answers(path)).double().flatten(1)
    probabilities = logits.softmax(dim=1).numpy()
    assert np.abs(probabilities - answers(files[suffix])).max() <= 1 / 256
    same = Reference(
        pixels=PIXELS, probabilities=probabilities.astype(np.float32), truth=np.full(4, -1), measured_on="4 pictures"
    )
    assert divergence(files[suffix], same) == pytest.approx(0, abs=1e-6)
    even = replace(same, probabilities=np.full((4, 5), 0.2, np.float32))
    wanted = (0.2 * (np.log(0.2) - np.log(probabilities))).sum(axis=1).mean()
    assert divergence(files[suffix], even) == pytest.approx(wanted, abs=1e-6)


def with_weights_behind(model: bytes) -> bytes:
    """The ``.tflite`` file with every constant behind the model, as litert-quantizer writes it."""
    flatbuffers = pytest.importorskip("flatbuffers")
    schema: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")
    whole = schema.ModelT.InitFromPackedBuf(model, 0)
    held = [(buffer, bytes(buffer.data)) for buffer in whole.buffers if buffer.data is not None]
    packed, start = b"", 2
    for _ in range(2):  # the places are known once the model's size is
        for buffer, content in held:
            buffer.data, buffer.offset, buffer.size = None, start, len(content)
            start += len(content)
        builder = flatbuffers.Builder()
        builder.Finish(whole.Pack(builder), b"TFL3")
        packed = bytes(builder.Output())
        start = len(packed)
    return packed + b"".join(content for _, content in held)


def test_weights_behind_the_model_are_kept(files: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(with_weights_behind(files["tflite"].read_bytes()))
    assert without_softmax(path) == without_softmax(files["tflite"])


@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
def test_a_file_without_a_softmax_is_refused(files: dict[str, Path], tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"logits.{suffix}"
    path.write_bytes(without_softmax(files[suffix]))
    with pytest.raises(ValueError, match="has no softmax"):
        without_softmax(path)
