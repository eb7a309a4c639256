"""ONNX and TensorFlow Lite graphs: other ways to write the same network, and what is not one."""

import copy
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import flatbuffers
import numpy as np
import onnx
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

from convert.checkpoints import load_checkpoint
from convert.export.onnx import to_onnx
from convert.export.tflite import to_tflite
from convert.model import MobileNetV1, ModelConfig
from convert.quantization import fold, quantize, synthetic_images
from edge.bundles.variant import Variant
from edge.vision.preprocess import Preprocessing
from tests.convert.conftest import CLASSES, lively, refusal

X: Final = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network() -> MobileNetV1:
    return lively(ModelConfig(alpha=0.25, classes=CLASSES, hidden=((12, "relu6"), (9, "relu"))))


@pytest.fixture(scope="module")
def written(network: MobileNetV1) -> onnx.ModelProto:
    """Our own ONNX file: batch norm folded, hidden layers as 1x1 convolutions."""
    return onnx.load_model_from_string(to_onnx(fold(network), Variant(0.25, 64)))


def saved(model: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def changed(model: onnx.ModelProto, change: Callable[[Any], object], path: Path) -> Path:
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    change(changed.graph)
    return saved(changed, path)


def assert_same(path: Path, network: MobileNetV1) -> None:
    loaded = load_checkpoint(path)
    with torch.no_grad():
        assert torch.allclose(loaded.model(X), network(X), atol=1e-4)


def test_what_is_written_as_onnx_is_read_with_its_hidden_layers(
    network: MobileNetV1, written: onnx.ModelProto, tmp_path: Path
) -> None:
    path = saved(written, tmp_path / "a.onnx")
    assert_same(path, network)
    loaded = load_checkpoint(path)
    assert (loaded.layout, loaded.resolution, loaded.config.hidden) == ("onnx", 64, network.config.hidden)
    assert loaded.config.padding == "same"


def normalized(graph: Any) -> None:
    """Pixels of 0 to 1, less a mean and by a deviation, as PyTorch's examples have them."""
    mean, std = np.array([0.485, 0.456, 0.406], "f4"), np.array([0.229, 0.224, 0.225], "f4")
    graph.initializer.append(numpy_helper.from_array(mean.reshape(1, 3, 1, 1), "mean"))
    graph.initializer.append(numpy_helper.from_array(std.reshape(3, 1, 1), "std"))
    graph.node[0].input[0] = "ready"
    graph.node.insert(0, helper.make_node("Div", ["less", "std"], ["ready"]))
    graph.node.insert(0, helper.make_node("Sub", ["input", "mean"], ["less"]))


def test_normalization_nodes_of_the_graph_decide(written: onnx.ModelProto, tmp_path: Path) -> None:
    config = load_checkpoint(changed(written, normalized, tmp_path / "n.onnx")).config
    assert config.mean == pytest.approx((123.675, 116.28, 103.53), abs=1e-3)
    assert config.std == pytest.approx((58.395, 57.12, 57.375), abs=1e-3)


def without_scaling(graph: Any) -> None:
    """Pixels of 0 to 255 less a mean, as Caffe's networks have them."""
    graph.initializer.append(numpy_helper.from_array(np.array([103.94, 116.78, 123.68], "f4").reshape(3, 1, 1), "mean"))
    graph.node[0].input[0] = "less"
    graph.node.insert(0, helper.make_node("Sub", ["input", "mean"], ["less"]))


def test_means_of_bytes_are_for_pixels_of_0_to_255(written: onnx.ModelProto, tmp_path: Path) -> None:
    found = load_checkpoint(changed(written, without_scaling, tmp_path / "n.onnx"))
    assert found.config.mean == pytest.approx((103.94, 116.78, 123.68), abs=1e-3)
    assert (found.config.std, found.config.colour_order) == ((1.0, 1.0, 1.0), "BGR")
    assert found.note == "its means are ImageNet's of blue, green and red: pictures are given to it in this order"


def pool_of(graph: Any) -> int:
    return next(n for n, node in enumerate(graph.node) if node.op_type == "GlobalAveragePool")


def means(first: list[int], second: list[int], keeps: int) -> Callable[[Any], None]:
    """The pool as two means, over one direction each; what follows takes four dimensions again."""

    def change(graph: Any) -> None:
        place = pool_of(graph)
        pool = graph.node[place]
        graph.initializer.append(numpy_helper.from_array(np.array([1, -1, 1, 1]), "four"))
        graph.node.insert(place, helper.make_node("Reshape", ["flat", "four"], [pool.output[0]]))
        graph.node.insert(place, helper.make_node("ReduceMean", ["half"], ["flat"], axes=second, keepdims=keeps))
        graph.node.insert(place, helper.make_node("ReduceMean", [pool.input[0]], ["half"], axes=first, keepdims=keeps))
        graph.node.remove(pool)

    return change


@pytest.mark.parametrize(
    ("first", "second", "keeps"), [([3], [2], 0), ([2], [2], 0), ([-1], [-1], 0), ([2], [3], 1), ([3], [-2], 1)]
)
def test_two_means_are_a_global_pool(
    first: list[int], second: list[int], keeps: int, network: MobileNetV1, written: onnx.ModelProto, tmp_path: Path
) -> None:
    assert_same(changed(written, means(first, second, keeps), tmp_path / "means.onnx"), network)


@pytest.mark.parametrize(("first", "second"), [([3], [1]), ([1], [1]), ([2], [0])])
def test_means_over_channels_are_no_pool(
    first: list[int], second: list[int], written: onnx.ModelProto, tmp_path: Path
) -> None:
    path = changed(written, means(first, second, 0), tmp_path / "means.onnx")
    assert " is a ReduceMean: MobileNet v1 has none such there." in refusal(path)


def strided(places: np.ndarray, *computing: onnx.NodeProto, axis: int = 0) -> Callable[[Any], None]:
    """The pool as PyTorch's exporter writes ``AdaptiveAvgPool2d(1)``: a mean, all values in a row, and those wanted."""

    def change(graph: Any) -> None:
        place = pool_of(graph)
        pool = graph.node[place]
        for name, values in (("row", [-1]), ("four", [1, -1, 1, 1]), ("axes", [-1, -2]), ("zero", 0), ("one", [1])):
            graph.initializer.append(numpy_helper.from_array(np.array(values), name))
        graph.initializer.append(numpy_helper.from_array(places, "places"))
        which = computing[-1].output[0] if computing else "places"
        nodes = [
            helper.make_node("ReduceMean", [pool.input[0]], ["mean"], axes=[-1, -2], keepdims=1),
            helper.make_node("Reshape", ["mean", "row"], ["values"]),
            *computing,
            helper.make_node("Gather", ["values", which], ["wanted"], axis=axis),
            helper.make_node("Reshape", ["wanted", "four"], [pool.output[0]]),
        ]
        graph.node.remove(pool)
        for number, node in enumerate(nodes):
            graph.node.insert(place + number, node)

    return change


ALL: Final = np.arange(256).reshape(1, 256, 1, 1)
FROM_BATCH: Final = (
    helper.make_node("Shape", ["input"], ["shape"]),
    helper.make_node("Range", ["zero", "shape", "one"], ["batch"]),
    helper.make_node("Mul", ["batch", "places"], ["rows"]),
    helper.make_node("Add", ["rows", "places"], ["which"]),
)


@pytest.mark.parametrize("computing", [(), FROM_BATCH], ids=["fixed", "of the batch"])
def test_a_gather_of_everything_behind_the_pool_is_nothing(
    computing: tuple[onnx.NodeProto, ...], network: MobileNetV1, written: onnx.ModelProto, tmp_path: Path
) -> None:
    assert_same(changed(written, strided(ALL, *computing), tmp_path / "s.onnx"), network)


@pytest.mark.parametrize(
    ("places", "computing", "axis"),
    [
        (ALL[:, ::-1], (), 0),
        (ALL + 1, (), 0),
        (ALL, (), 1),
        (ALL, (helper.make_node("Unsqueeze", ["places", "four"], ["which"]),), 0),
        (ALL, (helper.make_node("Neg", ["places"], ["which"]),), 0),
    ],
)
def test_another_gather_is_refused(
    places: np.ndarray,
    computing: tuple[onnx.NodeProto, ...],
    axis: int,
    written: onnx.ModelProto,
    tmp_path: Path,
) -> None:
    path = changed(written, strided(places.copy(), *computing, axis=axis), tmp_path / "s.onnx")
    assert " is a Gather: MobileNet v1 has none such there." in refusal(path)


@pytest.mark.parametrize("field", ["producer_version", "domain", "model_version", "doc_string"])
def test_onnx_is_known_whichever_field_is_first(field: str, written: onnx.ModelProto, tmp_path: Path) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(written)
    model.ClearField("producer_name")
    setattr(model, field, 3 if field == "model_version" else "1")
    assert load_checkpoint(saved(model, tmp_path / "m.onnx")).layout == "onnx"


def free(graph: Any) -> None:
    for place, name in ((0, "batch"), (2, "height"), (3, "width")):
        graph.input[0].type.tensor_type.shape.dim[place].dim_param = name


def test_free_dimensions_ask_for_no_resolution(network: MobileNetV1, written: onnx.ModelProto, tmp_path: Path) -> None:
    path = changed(written, free, tmp_path / "free.onnx")
    assert_same(path, network)
    assert load_checkpoint(path).resolution is None


def test_weights_in_one_file_beside_it_are_read_and_no_others(
    network: MobileNetV1, written: onnx.ModelProto, tmp_path: Path
) -> None:
    path = tmp_path / "split.onnx"
    whole = onnx.ModelProto()
    whole.CopyFrom(written)
    onnx.save_model(whole, str(path), save_as_external_data=True, location="split.data", size_threshold=0)
    assert_same(path, network)
    (tmp_path / "split.data").rename(tmp_path / "elsewhere")
    assert refusal(path).startswith(" keeps its weights in another file, 'split.data', which is not beside it")
    (tmp_path / "split.data").write_bytes((tmp_path / "elsewhere").read_bytes()[:1000])
    assert "reaches beyond the end of split.data: it is cut short." in refusal(path)
    (tmp_path / "split.data").unlink()
    (tmp_path / "split.data").symlink_to(tmp_path / "elsewhere")
    assert "which is not beside it" in refusal(path)


def outside(graph: Any) -> None:
    tensor = graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def branched(graph: Any) -> None:
    taken = graph.node[3].output[0]
    graph.node.insert(4, helper.make_node("Relu", [taken], ["other"]))


def two_answers(graph: Any) -> None:
    graph.output.append(helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, 4]))


def of_kind(kind: str) -> Callable[[Any], None]:
    def change(graph: Any) -> None:
        graph.node[1].op_type = kind

    return change


def of_pool(kind: str) -> Callable[[Any], None]:
    def change(graph: Any) -> None:
        graph.node[pool_of(graph)].op_type = kind

    return change


def unpacked(graph: Any) -> None:
    graph.node.insert(0, helper.make_node("DequantizeLinear", ["bytes", "scale"], ["weights"]))
    graph.node[1].input[1] = "weights"


def optimized(graph: Any) -> None:
    graph.node[0].op_type, graph.node[0].domain = "FusedConv", "com.microsoft"


def without_weights(graph: Any) -> None:
    for tensor in graph.initializer:
        graph.input.append(helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, tensor.dims))
    graph.ClearField("initializer")


def of_no_dimensions(graph: Any) -> None:
    tensor = next(one for one in graph.initializer if one.name == graph.node[2].input[1])
    tensor.CopyFrom(numpy_helper.from_array(np.ones(4, np.float32), tensor.name))


def best(graph: Any) -> None:
    graph.node.append(helper.make_node("ArgMax", [graph.output[0].name], ["best"], axis=0))
    graph.output[0].name = "best"


def computed(graph: Any) -> None:
    graph.node[0].input[1] = "unknown"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (outside, " keeps its weights in another file, '../../etc/passwd', which is not beside it"),
        (branched, "MobileNet v1 is one row of layers. This is another architecture."),
        (two_answers, " has 1 inputs and 2 outputs: expected one picture and one answer"),
        (of_kind("LSTM"), " is a LSTM: MobileNet v1 has none such there."),
        (of_kind("QLinearConv"), " is quantized already (operator "),
        (unpacked, " is quantized already (operator 'weights', DequantizeLinear): expected the float network"),
        (optimized, " is a com.microsoft.FusedConv, as ONNX Runtime writes where it optimizes a model for a machine"),
        (of_pool("GlobalMaxPool"), " takes the maximum of the places: expected a global average pool."),
        (of_pool("MaxPool"), " takes the maximum of the places: expected a global average pool."),
        (without_weights, " has its weights as inputs and not in the file: export it with them"),
        (of_no_dimensions, "is damaged: tuple index out of range. Export the model again."),
        (best, "(ArgMax) leaves some of the answers: export the network without it"),
        (computed, " takes weights that are computed or missing ('unknown')"),
        (lambda g: g.ClearField("node"), " is ONNX without an operator"),
        (lambda g: g.input[0].type.tensor_type.shape.dim.pop(), " takes 3 dimensions: expected pictures"),
    ],
)
def test_another_onnx_graph_is_refused(
    change: Callable[[Any], object], message: str, written: onnx.ModelProto, tmp_path: Path
) -> None:
    assert message in refusal(changed(written, change, tmp_path / "odd.onnx"))


@pytest.mark.parametrize("share", [0.001, 0.5, 0.99])
def test_a_truncated_onnx_file_is_refused(share: float, written: onnx.ModelProto, tmp_path: Path) -> None:
    content = written.SerializeToString()
    (tmp_path / "cut.onnx").write_bytes(content[: max(20, int(share * len(content)))])
    assert refusal(tmp_path / "cut.onnx")


@pytest.fixture(scope="module")
def int8(network: MobileNetV1) -> bytes:
    return to_tflite(quantize(fold(network), synthetic_images(8, 64), Preprocessing()))


def test_a_quantized_tflite_file_is_refused_with_the_command_for_it(int8: bytes, tmp_path: Path) -> None:
    (tmp_path / "q.tflite").write_bytes(int8)
    assert "is quantized already, and its float weights are gone: edge bundle import q.tflite" in refusal(
        tmp_path / "q.tflite"
    )


def rewritten(content: bytes, change: Callable[[Any], object]) -> bytes:
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    change(model)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def two_inputs(model: Any) -> None:
    graph = model.subgraphs[0]
    graph.tensors.append(copy.deepcopy(graph.tensors[graph.inputs[0]]))
    graph.inputs = [*graph.inputs, len(graph.tensors) - 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (two_inputs, " has 2 inputs and 1 outputs: expected one picture and one answer"),
        (lambda m: m.subgraphs.clear(), " is not a valid TensorFlow Lite model: it has 0 graphs, expected one"),
    ],
)
def test_another_tflite_file_is_refused(
    change: Callable[[Any], object], message: str, int8: bytes, tmp_path: Path
) -> None:
    (tmp_path / "odd.tflite").write_bytes(rewritten(int8, change))
    assert message in refusal(tmp_path / "odd.tflite")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("REDUCE_MAX", " takes the maximum of the places: expected"),
        ("ARG_MAX", " leaves the number of the largest of 256 values: expected a fully"),
    ],
)
def test_a_tflite_file_of_a_maximum_is_refused(kind: str, message: str, shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "forms/whole_float.tflite"
    if not source.is_file():
        pytest.skip("shared/data/forms is not beside the checkout")

    def change(model: Any) -> None:
        code = next(one for one in model.operatorCodes if one.builtinCode == schema.BuiltinOperator.MEAN)
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, kind)

    (tmp_path / "max.tflite").write_bytes(rewritten(source.read_bytes(), change))
    assert message in refusal(tmp_path / "max.tflite")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.8])
def test_a_truncated_tflite_file_is_refused(share: float, int8: bytes, tmp_path: Path) -> None:
    (tmp_path / "cut.tflite").write_bytes(int8[: int(share * len(int8))])
    assert refusal(tmp_path / "cut.tflite")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pth", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", " is a pointer of Git LFS"),
        ("a.h5", b"<!DOCTYPE html><html>", " is a web page: the download went wrong"),
        ("a.xml", b'<?xml version="1.0"?><net name="x">', " is XML, as of OpenVINO"),
        (
            "model.json",
            b'{"format": "layers-model", "modelTopology": {}}',
            " is TensorFlow.js': pip",
        ),
        ("model.json", b'{"class_name": "Functional", "config": {}}', " is the configuration of a Keras model without"),
        ("a.engine", b"ftrt\x00\x00\x00\x00", " is a TensorRT engine"),
        (
            "a.index",
            bytes(40) + bytes.fromhex("57fb808b247547db"),
            " is a part of a TensorFlow checkpoint",
        ),
        ("a.tar.gz", b"\x1f\x8b\x08\x00", " is a packed archive: unpack it"),
        (
            "saved_model.pb",
            b"\x08\x01\x12\x92\xdcT\n\x91",
            " is a part of a TensorFlow SavedModel, whose layers are code.",
        ),
        (
            "model.ckpt-0.meta",
            b"\n\xaf\x11\x12",
            " is a part of a TensorFlow checkpoint. In Python: reader = tf.train.",
        ),
        ("checkpoint", b'model_checkpoint_path: "a"', " is the list of a TensorFlow training's checkpoints: name the"),
        ("graph.pbtxt", b"node {\n  name: 'x'", " is a TensorFlow graph as text: freeze it with its weights"),
        ("a.tar", bytes(257) + b"ustar\x0000", " is a packed archive: unpack it"),
        ("a.7z", b"7z\xbc\xaf\x27\x1c\x00", " is a packed archive: unpack it"),
        ("a.caffemodel", b"\n\x01M\xa2\x06\x03\n\x01c", " is a Caffe network: convert the model to ONNX"),
        ("a.caffemodel", b"\n\x01M\x12\x03\n\x01c", " is a Caffe network: convert the model to ONNX"),
        ("weights", b"\xa2\x06\x03\n\x01c", " is a Caffe network: convert the model to ONNX"),
        ("a.prototxt", b'input: "data"\n', " is a Caffe description without weights"),
        ("a.params", b"\x12\x01\x00\x00\x00\x00\x00\x00\x00", " is MXNet's: export it to ONNX"),
        ("a-symbol.json", b'{"nodes": [], "arg_nodes": [0]}', " is an MXNet description without weights"),
        ("model.safetensors.index.json", b'{"weight_map": {}}', " is the list of files that weights were split into"),
        ("a.param", b"7767517\n75 83\n", " is ncnn's, for running only"),
        ("a.pdparams", pickle.dumps({"a": [1]}, protocol=2), " is a pickle that torch.save did not write"),
        ("a.pte", b"\x00\x00\x00\x00ET12", " is an ExecuTorch program"),
        ("a.h5", b"", " is an empty file."),
    ],
)
def test_other_files_are_named_by_their_bytes(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert refusal(tmp_path / name).startswith(message)


def test_a_checkpoint_of_tensorflow_2_is_told_from_slims(tmp_path: Path) -> None:
    names = b"\x00layer_with_weights-0/kernel/.ATTRIBUTES/VARIABLE_VALUE" + bytes.fromhex("57fb808b247547db")
    (tmp_path / "ck").mkdir()
    (tmp_path / "ck/ck-1.index").write_bytes(names)
    (tmp_path / "ck/ck-1.data-00000-of-00001").write_bytes(bytes(64))
    way = "In Python: build the network with Keras, tf.train.Checkpoint(model=model).restore(PREFIX)"
    assert refusal(tmp_path / "ck").startswith(f" is a folder of TensorFlow checkpoints. {way}")
    for name in ("ck-1.index", "ck-1.data-00000-of-00001"):
        assert refusal(tmp_path / "ck" / name).startswith(f" is a part of a TensorFlow checkpoint. {way}")


def test_other_archives_and_folders_are_named_by_what_is_in_them(tmp_path: Path) -> None:
    (tmp_path / "model.keras").mkdir()
    for name in ("config.json", "model.weights.h5", "metadata.json"):
        (tmp_path / "model.keras" / name).write_text("{}")
    assert refusal(tmp_path / "model.keras").startswith(" is a .keras file that was unpacked: pack it again: cd model.")
    (tmp_path / "m.mlpackage/Data").mkdir(parents=True)
    (tmp_path / "m.mlpackage/Manifest.json").write_text("{}")
    assert refusal(tmp_path / "m.mlpackage").startswith(" is Core ML's, for running only")
    with zipfile.ZipFile(tmp_path / "m.pt2", "w") as archive:
        archive.writestr("m/archive_format", "pt2")
    assert refusal(tmp_path / "m.pt2").startswith(" is a program of torch.export. In Python: torch.save(torch.export.")
