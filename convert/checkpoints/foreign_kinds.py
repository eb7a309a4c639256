"""What files of other tools are, by the bytes they begin with and by the endings of their names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from convert.checkpoints.wire import fields

__all__ = ["BEGINNINGS", "CAFFE", "MADE_FROM", "PACKED", "by_name", "engine", "is_core_ml", "paddle"]

PACKED: Final = "a packed archive: unpack it and name the file in it"
CAFFE: Final = "convert the model to ONNX where Caffe is"
MADE_FROM: Final = "for running only: use the network that it was made from"
_ENGINE: Final = "a TensorRT engine, whose weights cannot be read: use the ONNX file that it was made from"
_PROGRAM: Final = f"a compiled program, {MADE_FROM}"
_PICTURE: Final = "a picture: name the network first, and pictures as options such as --calibration ask for them"
BEGINNINGS: Final = (
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself: git lfs pull"),
    (b"<!doctype html", "a web page: the download went wrong, perhaps for want of a login"),
    (b"<html", "a web page: the download went wrong, perhaps for want of a login"),
    (b"<?xml", "XML, as of OpenVINO: use the ONNX file or the framework's that it was made from"),
    (b"<net", "OpenVINO's: use the ONNX file or the framework's that it was made from"),
    *((magic, PACKED) for magic in (b"\x1f\x8b", b"7z\xbc\xaf", b"rar!", b"\xfd7zxz", b"bzh", b"\x28\xb5\x2f\xfd")),
    (b"ftrt", _ENGINE),
    (b"ptrt", _ENGINE),
    *((word, f"a Caffe description without weights: {CAFFE}") for word in (b"name:", b"input:", b"layer {", b"layer{")),
    (b"\x12\x01\x00\x00\x00\x00\x00\x00", "MXNet's: export it to ONNX where MXNet is (mxnet.onnx.export_model)"),
    (b"node {", "a TensorFlow graph as text: freeze it with its weights, then convert it with tf2onnx"),
    (b"model_checkpoint_path:", "the list of a TensorFlow training's checkpoints: name the folder that it is in"),
    (b"7767517", f"ncnn's, {MADE_FROM}"),
    (b"rknn", f"RKNN's, {MADE_FROM}"),
    (b"\x01hef", f"Hailo's, {MADE_FROM}"),
    (b"imod", f"Ascend's, {MADE_FROM}"),
    (b"ldmk", f"a K210's, {MADE_FROM}"),
    (b"cvimodel", f"Sophgo's, {MADE_FROM}"),
    (b"\x7felf", _PROGRAM),
    (b"mz\x90", _PROGRAM),
    (b"\x93numpy", "one NumPy array: save all arrays by their names, np.savez('weights.npz', **arrays)"),
    (b"matlab 5", "MATLAB's: export the network to ONNX there (exportONNXNetwork)"),
    (b"\x89png", _PICTURE),
    (b"\xff\xd8\xff", _PICTURE),
)
"""How files begin, in lower case, and what they are."""
_ENDINGS: Final = (
    (r"\.mnn$", f"MNN's, {MADE_FROM}"),
    (r"\.mlmodelc$", f"Core ML's, compiled, {MADE_FROM}"),
    (r"\.nb$", f"Paddle Lite's, {MADE_FROM}"),
    (r"\.(tmfile|tnnproto|tnnmodel|bmodel|dlc|vmfb|blob)$", f"another runtime's, {MADE_FROM}"),
    (r"^group\d+-shard\d+of\d+(\.bin)?$", "a part of TensorFlow.js' weights: name the model.json beside it"),
    (r"\.weights$", "Darknet's: convert the network to ONNX with a tool for Darknet"),
)
"""Of files whose first bytes say nothing."""
_BESIDE: Final = (
    (".xml", "OpenVINO's weights: use the ONNX file or the framework's that they were made from"),
    (".param", f"ncnn's weights, {MADE_FROM}"),
)
"""What a ``.bin`` is, by the file of the same name beside it."""
_LEAST_CORE_ML: Final = 200
"""From which field on ``Model.proto`` of Core ML has its kinds of networks; ONNX has none of such numbers."""
_VERSION: Final = 4
"""Bytes of a length before an engine's description, as Ultralytics puts it."""


def is_core_ml(path: Path) -> bool:
    """Whether a file is a ``.mlmodel``: like ONNX, it begins with the version of its format."""
    found = list(fields(path))
    return bool(found) and found[0] == 1 and any(number >= _LEAST_CORE_ML for number in found)


def engine(start: bytes) -> str:
    """What to say of an engine that a description stands before; nothing of other files."""
    length = int.from_bytes(start[:_VERSION], "little")
    body = start[_VERSION + length : _VERSION + length + 4] if length < len(start) else b""
    return _ENGINE if start[_VERSION : _VERSION + 1] == b"{" and body in (b"ftrt", b"ptrt") else ""


def paddle(path: Path, start: bytes) -> str:
    """What to say of PaddlePaddle's programs and parameters; nothing of other files."""
    is_parameters = (
        start[:16] == bytes(16) and 0 < int.from_bytes(start[16:20], "little") < 64 and start[20:21] == b"\x08"
    )
    is_program = start[:1] == b"\n" and (b"\x04feed" in start or b"\x05fetch" in start)
    if not is_parameters and not is_program and path.suffix not in (".pdmodel", ".pdiparams"):
        return ""
    return (
        "PaddlePaddle's: pip install paddle2onnx, then paddle2onnx --model_dir . --model_filename "
        f"{path.stem}.pdmodel --params_filename {path.stem}.pdiparams --save_file model.onnx"
    )


def by_name(path: Path) -> str:
    """What a file or folder is whose bytes say nothing, by its name; nothing if that says nothing, too."""
    found = next((what for pattern, what in _ENDINGS if re.search(pattern, path.name.lower())), "")
    if not found and path.suffix == ".bin":
        found = next((what for suffix, what in _BESIDE if path.with_suffix(suffix).is_file()), "")
        if not found and path.with_name("model.json").is_file():
            found = "TensorFlow.js' weights: name the model.json beside it"
    return found
