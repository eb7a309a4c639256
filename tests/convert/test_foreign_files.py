"""Files of other tools: each is named, with the way on, and nothing in it is run."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from convert.checkpoints.wire import fields
from tests.convert.conftest import refusal

CORE_ML: Final = b"\x08\x04\x12\x06\x0a\x04data" + b"\xa2\x1f\x10" + bytes(16)
"""The version, a description, and a neural network, field 500."""
PARAMETERS: Final = bytes(16) + b"\x08\x00\x00\x00\x08\x05\x10\x08\x10\x03\x10\x03" + bytes(64)
PROGRAM: Final = b"\n\xb2\x1b\x08\x00\x10\xff\x01\x1a\x11\n\x04feed\x12\x07" + bytes(64)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.mlmodel", CORE_ML, " is Core ML's, for running only: use the network that it was made from."),
        ("a.onnx", b"\x08\x01" + CORE_ML[2:], " is Core ML's, for running only"),
        (
            "x.pdmodel",
            PROGRAM,
            " is PaddlePaddle's: pip install paddle2onnx, then paddle2onnx --model_dir . --model_file",
        ),
        ("x.pdiparams", PARAMETERS, " is PaddlePaddle's: pip install paddle2onnx"),
        ("x.json", b'{"base_code": {"magic": "pir"}, "program": {}}', " is PaddlePaddle's: pip install paddle2onnx"),
        ("model.json", b'{"format": "graph-model", "modelTopology": {}}', " is TensorFlow.js', a graph that cannot be"),
        ("group1-shard1of2.bin", b"\x01\x02\x03\x04" * 9, " is a part of TensorFlow.js' weights: name the model.json"),
        ("a.engine", b"\x08\x00\x00\x00{'a': 1}ftrt\x00".replace(b"'", b'"'), " is a TensorRT engine"),
        ("a.mnn", b"\x1c\x00\x00\x00\x00\x00\x1a\x00" * 4, " is MNN's, for running only"),
        ("a.ort", b"\x18\x00\x00\x00ORTM\x00\x00", " is ONNX Runtime's own format"),
        ("a.npy", b"\x93NUMPY\x01\x00v\x00", " is one NumPy array: save all arrays by their names"),
        ("a.mat", b"MATLAB 5.0 MAT-file", " is MATLAB's: export the network to ONNX there"),
        ("a.so", b"\x7fELF\x02\x01\x01\x00", " is a compiled program, for running only"),
        ("a.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF", " is a picture: name the network first"),
        ("a.msgpack", b"\x82\xa6params\x82\xa6Conv_0", " is Flax's: in Python, load it"),
        ("a.weights", b"\x00\x00\x00\x00\x02\x00\x00\x00\x05", " is Darknet's: convert the network to ONNX"),
    ],
)
def test_files_of_other_tools_are_named(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert refusal(tmp_path / name).startswith(message)


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        ("x.xml", " is OpenVINO's weights: use the ONNX file"),
        ("x.param", " is ncnn's weights, for running only"),
        ("model.json", " is TensorFlow.js' weights: name the model.json beside it"),
        ("y.xml", " is not a checkpoint that this package reads"),
    ],
)
def test_bare_weights_are_named_by_the_file_beside_them(beside: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"\x01\x02\x03\x04" * 9)
    (tmp_path / beside).write_bytes(b"")
    assert refusal(tmp_path / "x.bin").startswith(message)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ("m/saved_model.pb", "m/variables/variables.index"),
            " is a zip archive: unpack it. In it is a TensorFlow Saved",
        ),
        (("m.mlpackage/Manifest.json", "m.mlpackage/Data/m.mlmodel"), " is a zip archive of Core ML's"),
        (("model.json", "weights.bin", "metadata.json"), " is a zip archive of TensorFlow.js': unpack it and name"),
        (("m.mnn", "labels.txt"), " is a zip archive of something that is MNN's, for running only"),
        (
            ("inference.pdmodel", "inference.pdiparams"),
            " is a zip archive, not a .keras file: unpack it and name infer",
        ),
        (("keras_model.h5", "labels.txt"), " is a zip archive, not a .keras file: unpack it and name keras_model.h5"),
    ],
)
def test_archives_are_named_by_what_is_in_them(names: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    assert refusal(tmp_path / "m.zip").startswith(message)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("coremldata.bin",), " is Core ML's, for running only"),
        (("inference.pdmodel", "inference.pdiparams"), " is PaddlePaddle's: pip install paddle2onnx"),
        (("model.json", "group1-shard1of1.bin"), " is a folder: name the file in it, m/model.json"),
    ],
)
def test_folders_are_named_by_what_is_in_them(files: tuple[str, ...], message: str, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    for name in files:
        (tmp_path / "m" / name).write_bytes(b"x")
    assert refusal(tmp_path / "m").startswith(message)


class Hostile:
    """What runs a command where it is unpickled."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.flag),)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_pickles_of_other_programs_are_named_and_never_run(protocol: int, tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"model": Hostile(tmp_path / "ran")}, protocol=protocol))
    assert refusal(tmp_path / "a.pkl").startswith(" is a pickle that torch.save did not write")
    assert not (tmp_path / "ran").exists()
    (tmp_path / "b.pkl").write_bytes(pickle.dumps({"weight": np.zeros(3)}, protocol=protocol))
    assert "save its arrays by their names: np.savez(" in refusal(tmp_path / "b.pkl")


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02csklearn.linear_model._logistic\nLogisticRegression\nq\x00)\x81q\x01.",
        b"\x80\x04\x95\x2a\x00\x00\x00\x00\x00\x00\x00\x8c\x1esklearn.linear_model._logistic.x\x94\x8c\x01A\x94\x93\x94.",
    ],
)
def test_a_model_that_is_not_a_network_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(content)
    assert refusal(tmp_path / "a.pkl").startswith(" is a pickled object of sklearn.linear_model._logistic")


@pytest.mark.parametrize("content", [b"", b"\xff" * 30, b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x00\x01"])
def test_fields_of_nonsense_end(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content)
    assert list(fields(tmp_path / "a")) == []
