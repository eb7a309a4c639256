"""Files of trained networks that are not read here: named by their bytes, each with the lines that make one that is.

Those lines run where the network was trained, as they need its framework.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from convert.errors import CheckpointError

__all__ = ["refusal"]

_READ: Final = (
    "expected a file of Keras (.keras, .h5), PyTorch (a state dict, .pth or .safetensors), ONNX, TensorFlow Lite in "
    "float (.tflite), or TF-slim's variables (.npz)"
)
_TF_INDEX: Final = bytes.fromhex("57fb808b247547db")
"""The end of a TensorFlow checkpoint's index (``leveldb``'s table magic, little endian)."""
_TF2: Final = b".ATTRIBUTES"
"""In the names of TensorFlow 2's variables."""
_SAVED_MODEL: Final = "saved_model.pb"
_SAVED_MODEL_HEAD: Final = b"\x08\x01\x12"
"""The version of its format, 1, and its graph."""
_LARGEST_INDEX: Final = 16_000_000
_MOST: Final = 1 << 16
_SLIM: Final = (
    "reader = tf.train.load_checkpoint(PREFIX); np.savez('weights.npz', **{name: reader.get_tensor(name) for name in "
    "reader.get_variable_to_shape_map()})"
)


def refusal(path: Path, head: bytes, names: list[str]) -> CheckpointError:
    """What to say of a file or folder that no reader takes.

    Args:
        path: The file or folder.
        head: Its first bytes; none of a folder.
        names: The files in it, if it is a zip archive.
    """
    found = _folder(path) if path.is_dir() else _archive(names) if names else _file(path, head)
    if found:
        return CheckpointError(f"{path} is {found}.")
    return CheckpointError(f"{path} is not a checkpoint that this package reads: {_READ}; it starts with {head[:8]!r}.")


def _folder(path: Path) -> str:
    if (path / _SAVED_MODEL).is_file():
        return f"a TensorFlow SavedModel, {_saved_model(path.name)}"
    inside = {one.name for one in path.iterdir()}
    if {"config.json", "model.weights.h5"} <= inside:
        return f"a .keras file that was unpacked: pack it again: cd {path.name} && zip -r ../model.keras *"
    if "Manifest.json" in inside and (path / "Data").is_dir():
        return f"Core ML's, {_MADE_FROM}"
    weights = sorted(n for n in inside if n.endswith((".safetensors", ".keras", ".h5", ".pth", ".bin", ".onnx")))
    if weights:
        return f"a folder: name the file in it, {path.name}/{weights[0]}"
    index = next((name for name in sorted(inside) if name.endswith(".index")), "")
    if index:
        return f"a folder of TensorFlow checkpoints. In Python: {_of_checkpoint(path / index)}"
    return f"a folder: {_READ}"


def _archive(names: list[str]) -> str:
    if any(name.endswith(("/archive_format", "serialized_exported_program.json")) for name in names):
        return (
            "a program of torch.export. In Python: torch.save(torch.export.load('model.pt2').state_dict, 'weights.pth')"
        )
    if any(re.fullmatch(r"[^/]+/(constants\.pkl|code/.+)", name) for name in names):
        return (
            "TorchScript, which is code. In Python: model = torch.jit.load('model.pt', map_location='cpu'); "
            "torch.save(model.state_dict(), 'weights.pth')"
        )
    if "config.json" in names or "metadata.json" in names:
        missing = "config.json" if "config.json" not in names else "model.weights.h5"
        return f"a zip archive like a .keras file, but without {missing}: save it again, model.save('model.keras')"
    if any(name.startswith("word/") or name == "AndroidManifest.xml" for name in names):
        return f"a zip archive of something else: {_READ}"
    inner = next((n for n in names if n.endswith((".keras", ".h5", ".pth", ".safetensors", ".onnx", ".tflite"))), "")
    return f"a zip archive, not a .keras file: unpack it{f' and name {inner}' if inner else ''}; {_READ}"


def _file(path: Path, head: bytes) -> str:
    with path.open("rb") as file:
        start = file.read(_MOST)
        file.seek(max(0, path.stat().st_size - 8))
        end = file.read(8)
    text = start[:4096].lstrip().lower()
    for begins, what in _BEGINNINGS:
        if text.startswith(begins):
            return what
    if path.name == _SAVED_MODEL or start.startswith(_SAVED_MODEL_HEAD):
        return f"a part of a TensorFlow SavedModel, {_saved_model(path.absolute().parent.name)}"
    if end == _TF_INDEX or re.search(r"\.(data-\d{5}-of-\d{5}|meta)$", path.name):
        index = path.with_name(re.sub(r"\.(data-[\d-]+of-\d+|meta)$", ".index", path.name))
        return f"a part of a TensorFlow checkpoint. In Python: {_of_checkpoint(index)}"
    if _is_caffe(path, start):
        return f"a Caffe network: {_CAFFE}"
    if start[257:262] == b"ustar":
        return _PACKED
    if head[4:8] == b"ET12":
        return "an ExecuTorch program, which is for running only: use the PyTorch model that it was made from"
    if text.startswith(b"{"):
        return _json(path)
    nodes = list(_graph_nodes(start))
    if nodes:
        return (
            f"a frozen TensorFlow graph: pip install tf2onnx, then python -m tf2onnx.convert --graphdef {path.name} "
            f"--inputs {nodes[0]}:0 --outputs {_last_node(path)}:0 --output model.onnx"
        )
    return "" if start else "an empty file"


_PACKED: Final = "a packed archive: unpack it and name the file in it"
_CAFFE: Final = "convert the model to ONNX where Caffe is"
_MADE_FROM: Final = "for running only: use the network that it was made from"
_BEGINNINGS: Final = (
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself: git lfs pull"),
    (b"<!doctype html", "a web page: the download went wrong, perhaps for want of a login"),
    (b"<html", "a web page: the download went wrong, perhaps for want of a login"),
    (b"<?xml", "XML, as of OpenVINO: use the ONNX file or the framework's that it was made from"),
    (b"<net", "OpenVINO's: use the ONNX file or the framework's that it was made from"),
    *((magic, _PACKED) for magic in (b"\x1f\x8b", b"7z\xbc\xaf", b"rar!", b"\xfd7zxz", b"bzh", b"\x28\xb5\x2f\xfd")),
    (b"ftrt", "a TensorRT engine, whose weights cannot be read: use the ONNX file that it was made from"),
    *(
        (word, f"a Caffe description without weights: {_CAFFE}")
        for word in (b"name:", b"input:", b"layer {", b"layer{")
    ),
    (b"\x12\x01\x00\x00\x00\x00\x00\x00", "MXNet's: export it to ONNX where MXNet is (mxnet.onnx.export_model)"),
    (b"node {", "a TensorFlow graph as text: freeze it with its weights, then convert it with tf2onnx"),
    (b"model_checkpoint_path:", "the list of a TensorFlow training's checkpoints: name the folder that it is in"),
    (b"7767517", f"ncnn's, {_MADE_FROM}"),
    (b"rknn", f"RKNN's, {_MADE_FROM}"),
    (b"\x01hef", f"Hailo's, {_MADE_FROM}"),
    (b"gguf", f"GGUF: {_READ}"),
)
"""How text and archives begin."""


def _saved_model(folder: str) -> str:
    return (
        "whose layers are code. In Python, load the model with Keras and model.save('model.keras'); or, of the "
        "SavedModel: pip install tf2onnx, then python -m tf2onnx.convert --saved-model "
        f"{folder} --output model.onnx"
    )


def _of_checkpoint(index: Path) -> str:
    """What to do with a checkpoint of TensorFlow 2, which names objects, or of TF-slim, which names variables."""
    if index.is_file() and index.stat().st_size < _LARGEST_INDEX and _TF2 in index.read_bytes():
        return (
            "build the network with Keras, tf.train.Checkpoint(model=model).restore(PREFIX), or "
            "model.load_weights(PREFIX) in Keras 2, and model.save('model.keras')"
        )
    return f"{_SLIM}; of a Keras model: build it, load_weights, save"


def _is_caffe(path: Path, start: bytes) -> bool:
    """Whether it is a ``NetParameter``: perhaps a name, field 1, and then a layer, field 100."""
    place = 0
    if start[:1] == b"\n":
        length, begin = _varint(start, 1)
        place = begin + length
    return start[place : place + 2] == b"\xa2\x06" or (place > 0 and path.suffix == ".caffemodel")


def _json(path: Path) -> str:
    try:
        found = json.loads(path.read_bytes()) if path.stat().st_size < 64_000_000 else {}
    except (ValueError, RecursionError):
        return f"text, not weights: {_READ}"
    keys = set(found) if isinstance(found, dict) else set()
    if "modelTopology" in keys or "weightsManifest" in keys:
        return (
            "TensorFlow.js': pip install tensorflowjs, then tensorflowjs_converter --input_format=tfjs_layers_model "
            f"--output_format=keras {path.name} model.h5"
        )
    if "weight_map" in keys:
        return (
            "the list of files that weights were split into: save them as one, model.save('model.keras') in Keras, "
            "model.save_pretrained(FOLDER, max_shard_size='5GB') in Transformers"
        )
    if "arg_nodes" in keys:
        return "an MXNet description without weights: export the model to ONNX where MXNet is"
    if "class_name" in keys:
        return "the configuration of a Keras model without its weights: model.save('model.keras') writes both"
    return f"JSON, not weights: {_READ}"


def _last_node(path: Path) -> str:
    return list(_graph_nodes(path.read_bytes()))[-1]


def _graph_nodes(content: bytes) -> Iterator[str]:
    """The names of a GraphDef's nodes: its fields 1, each a message whose fields 1 and 2 are name and operator."""
    place = 0
    while place < len(content) and content[place] == 0x0A:
        length, start = _varint(content, place + 1)
        node, place = content[start : start + length], start + length
        if length < 4 or node[:1] != b"\n":
            return
        size, begin = _varint(node, 1)
        name = node[begin : begin + size]
        if node[begin + size : begin + size + 1] != b"\x12" or not name.isascii() or not name:
            return
        yield name.decode()


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """A number in the wire format of Protocol Buffers, and the place behind it."""
    value = shift = 0
    while place < len(content) and shift < 35:
        byte = content[place]
        value, shift, place = value | (byte & 0x7F) << shift, shift + 7, place + 1
        if byte < 0x80:
            break
    return value, place
