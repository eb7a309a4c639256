"""Files of trained networks that are not read here: each named, with the lines that make one that is.

What a file is its bytes tell, or, where they do not, its name.

Those lines run where the network was trained, as they need its framework.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from convert.checkpoints.foreign_kinds import BEGINNINGS, CAFFE, MADE_FROM, PACKED, by_name, engine, is_core_ml, paddle
from convert.checkpoints.wire import varint
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
_MOST_NAMES: Final = 1000
_INNER: Final = (
    ".keras", ".h5", ".pth", ".pt", ".safetensors", ".onnx", ".tflite", ".pb", ".index", ".xml", ".pdmodel", ".mlmodel"
)  # fmt: skip
"""What to name of an unpacked archive."""
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
    if ("Manifest.json" in inside and (path / "Data").is_dir()) or "coremldata.bin" in inside:
        return f"Core ML's, {MADE_FROM}"
    program = next((name for name in sorted(inside) if name.endswith(".pdmodel")), "")
    if program:
        return paddle(path / program, b"")
    if "model.json" in inside:
        return f"a folder: name the file in it, {path.name}/model.json"
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
    saved = next((name for name in names if name.rpartition("/")[2] == _SAVED_MODEL), "")
    if saved:
        folder = saved.rpartition("/")[0] or "."
        return f"a zip archive: unpack it. In it is a TensorFlow SavedModel, {_saved_model(folder)}"
    if any(name.endswith((".mlmodel", "Manifest.json")) and ".mlpackage" in name for name in names):
        return f"a zip archive of Core ML's, {MADE_FROM}"
    if "model.json" in names:
        return "a zip archive of TensorFlow.js': unpack it and name model.json, to see how to convert it"
    if "config.json" in names or "metadata.json" in names:
        missing = "config.json" if "config.json" not in names else "model.weights.h5"
        return f"a zip archive like a .keras file, but without {missing}: save it again, model.save('model.keras')"
    if any(name.startswith("word/") or name == "AndroidManifest.xml" for name in names):
        return f"a zip archive of something else: {_READ}"
    inner = next((n for n in names if n.endswith(_INNER)), "")
    kind = next(filter(None, (by_name(Path(name)) for name in names[:_MOST_NAMES])), "")
    if kind and not inner:
        return f"a zip archive of something that is {kind}"
    return f"a zip archive, not a .keras file: unpack it{f' and name {inner}' if inner else ''}; {_READ}"


def _file(path: Path, head: bytes) -> str:
    with path.open("rb") as file:
        start = file.read(_MOST)
        file.seek(max(0, path.stat().st_size - 8))
        end = file.read(8)
    text = start[:4096].lstrip().lower()
    for begins, what in BEGINNINGS:
        if text.startswith(begins):
            return what
    if is_core_ml(path):
        return f"Core ML's, {MADE_FROM}"
    if path.name == _SAVED_MODEL or start.startswith(_SAVED_MODEL_HEAD):
        return f"a part of a TensorFlow SavedModel, {_saved_model(path.absolute().parent.name)}"
    if end == _TF_INDEX or re.search(r"\.(data-\d{5}-of-\d{5}|meta)$", path.name):
        index = path.with_name(re.sub(r"\.(data-[\d-]+of-\d+|meta)$", ".index", path.name))
        return f"a part of a TensorFlow checkpoint. In Python: {_of_checkpoint(index)}"
    if _is_caffe(path, start):
        return f"a Caffe network: {CAFFE}"
    if start[257:262] == b"ustar":
        return PACKED
    if head[4:8] == b"ET12":
        return "an ExecuTorch program, which is for running only: use the PyTorch model that it was made from"
    if head[4:8] == b"ORTM":
        return "ONNX Runtime's own format, which is for running only: use the .onnx file that it was made from"
    if b"\xa6params" in start[:16]:
        return (
            "Flax's: in Python, load it with flax.serialization.msgpack_restore, put its arrays into the same network "
            "in PyTorch or Keras, and save that"
        )
    if text.startswith(b"{"):
        return _json(path)
    found = engine(start) or paddle(path, start)
    if found:
        return found
    nodes = list(_graph_nodes(start))
    if nodes:
        return (
            f"a frozen TensorFlow graph: pip install tf2onnx, then python -m tf2onnx.convert --graphdef {path.name} "
            f"--inputs {nodes[0]}:0 --outputs {_last_node(path)}:0 --output model.onnx"
        )
    return by_name(path) if start else "an empty file"


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
        length, begin = varint(start, 1)
        place = begin + length
    return start[place : place + 2] == b"\xa2\x06" or (place > 0 and path.suffix == ".caffemodel")


def _json(path: Path) -> str:
    try:
        found = json.loads(path.read_bytes()) if path.stat().st_size < 64_000_000 else {}
    except (ValueError, RecursionError):
        return f"text, not weights: {_READ}"
    keys = set(found) if isinstance(found, dict) else set()
    if keys >= {"base_code", "program"}:
        return paddle(path.with_suffix(".pdmodel"), b"").replace(".pdmodel", ".json")
    if found.get("format") == "graph-model" if isinstance(found, dict) else False:
        return (
            "TensorFlow.js', a graph that cannot be converted back: use the SavedModel or .keras file it was made from"
        )
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
        length, start = varint(content, place + 1)
        node, place = content[start : start + length], start + length
        if length < 4 or node[:1] != b"\n":
            return
        size, begin = varint(node, 1)
        name = node[begin : begin + size]
        if node[begin + size : begin + size + 1] != b"\x12" or not name.isascii() or not name:
            return
        yield name.decode()
