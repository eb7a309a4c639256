"""What graphs do to pixels before the first convolution, leave uncomputed, and put behind the answer."""

from __future__ import annotations

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
from convert.model import MobileNetV1
from convert.quantization import fold
from edge.bundles.variant import Variant
from edge.errors import BackendError
from edge.inference.tflite_structure import check_structure
from tests.convert.conftest import refusal

X: Final = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
Nodes = list[onnx.NodeProto]
Change = Callable[[Any], None]


@pytest.fixture(scope="module")
def written(model: MobileNetV1) -> onnx.ModelProto:
    return onnx.load_model_from_string(to_onnx(fold(model), Variant(0.25, 64)))


def saved(written: onnx.ModelProto, change: Change, path: Path) -> Path:
    changed = onnx.ModelProto()
    changed.CopyFrom(written)
    change(changed.graph)
    path.write_bytes(changed.SerializeToString())
    return path


def constants(graph: Any, **values: Any) -> None:
    graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in values.items())


def in_front(*nodes: onnx.NodeProto, **values: Any) -> Change:
    """Operators that turn ``input`` into ``ready``, which the first convolution takes."""

    def change(graph: Any) -> None:
        constants(graph, **values)
        graph.node[0].input[0] = "ready"
        for node in reversed(nodes):
            graph.node.insert(0, node)

    return change


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


SLICED: Final = tuple(node("Slice", f"input at{n} at{n + 1} axes", f"c{n}") for n in range(3))
TAKEN: Final = tuple(
    one
    for n in range(3)
    for one in (node("Gather", f"input n{n}", f"g{n}", axis=1), node("Unsqueeze", f"g{n} axes", f"c{n}"))
)
JOINED: Final = node("Concat", "c2 c1 c0", "ready", axis=1)
PLACES: Final = {f"at{n}": np.array([n]) for n in range(4)} | {f"n{n}": np.array(n) for n in range(3)}
TURNED: Final[dict[str, Change]] = {
    "a gather": in_front(node("Gather", "input order", "ready", axis=1), order=np.array([2, 1, 0])),
    "a slice backwards": in_front(
        node("Slice", "input from to axes step", "ready"),
        **{"from": np.array([-1]), "to": np.array([-(2**63) + 1]), "axes": np.array([1]), "step": np.array([-1])},
    ),
    "slices": in_front(*SLICED, JOINED, axes=np.array([1]), **PLACES),
    "single channels": in_front(*TAKEN, JOINED, axes=np.array([1]), **PLACES),
    "a split": in_front(node("Split", "input", "c0 c1 c2", axis=1), JOINED),
    "a split in parts": in_front(
        node("SplitToSequence", "input n1", "parts", axis=1, keepdims=1),
        *(node("SequenceAt", f"parts n{n}", f"c{n}") for n in range(3)),
        JOINED,
        **PLACES,
    ),
    "a table of places": in_front(
        node("Transpose", "input", "first", perm=[1, 0, 2, 3]),
        node("GatherND", "first table", "moved"),
        node("Transpose", "moved", "ready", perm=[1, 0, 2, 3]),
        table=np.array([[2], [1], [0]]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", TURNED.values(), ids=TURNED)
def test_channels_that_a_graph_turns_around_are_turned_in_the_stem(
    change: Change, model: MobileNetV1, written: onnx.ModelProto, tmp_path: Path
) -> None:
    loaded = load_checkpoint(saved(written, change, tmp_path / "turned.onnx"))
    assert loaded.config.colour_order == "RGB"
    assert "it turns the channels around itself, so pictures are given to it as RGB" in loaded.note
    with torch.no_grad():
        assert torch.allclose(loaded.model(X), model(X.flip(1)), atol=1e-4)


SPLIT: Final = (
    node("Split", "input", "r g b", axis=1),
    *(node("Sub", f"{name} mean_{name}", f"less_{name}") for name in "rgb"),
    *(node("Mul", f"less_{name} gain_{name}", f"done_{name}") for name in "rgb"),
    node("Concat", "done_b done_g done_r", "ready", axis=1),
)


def split(*means: float) -> Change:
    gains = {f"gain_{name}": np.float32(1 / 50) for name in "rgb"}
    return in_front(
        *SPLIT, **gains, **{f"mean_{name}": np.float32(mean) for name, mean in zip("rgb", means, strict=True)}
    )


def test_pixels_less_imagenet_s_mean_that_become_minus_one_to_one_are_pictures(
    model: MobileNetV1, written: onnx.ModelProto, tmp_path: Path
) -> None:
    """As torchvision's ``transform_input`` does it."""
    gain = np.array([0.229, 0.224, 0.225], np.float32).reshape(1, 3, 1, 1) / 0.5
    shift = (np.array([0.485, 0.456, 0.406], np.float32).reshape(1, 3, 1, 1) - 0.5) / 0.5
    steps = node("Mul", "input gain", "scaled"), node("Add", "scaled shift", "ready")
    loaded = load_checkpoint(saved(written, in_front(*steps, gain=gain, shift=shift), tmp_path / "undone.onnx"))
    assert (loaded.config.mean, loaded.config.std) == ((127.5,) * 3, (127.5,) * 3)
    assert "it turns pixels normalized by ImageNet's mean and deviation into -1 to 1" in loaded.note
    with torch.no_grad():
        assert torch.allclose(loaded.model(X), model(X), atol=1e-4)


@pytest.mark.parametrize(
    ("means", "order", "note"),
    [
        ((123.68, 116.78, 103.94), "RGB", ""),
        ((103.94, 116.78, 123.68), "BGR", "its means are ImageNet's of blue, green and red"),
        ((120.0, 120.0, 130.0), "RGB", "it turns the channels around itself"),
    ],
)
def test_a_normalization_of_each_channel_is_in_the_order_of_the_picture(
    means: tuple[float, ...], order: str, note: str, model: MobileNetV1, written: onnx.ModelProto, tmp_path: Path
) -> None:
    loaded = load_checkpoint(saved(written, split(*means), tmp_path / "split.onnx"))
    assert loaded.config.mean == pytest.approx(means, abs=1e-3)
    assert loaded.config.std == pytest.approx((50.0,) * 3)
    assert loaded.config.colour_order == order
    assert loaded.note.startswith(note) and bool(note) == bool(loaded.note)
    with torch.no_grad():
        assert torch.allclose(loaded.model(X), model(X.flip(1)), atol=1e-4)


def of_type(kind: int, change: Change) -> Change:
    def both(graph: Any) -> None:
        graph.input[0].type.tensor_type.elem_type = kind
        change(graph)

    return both


CAST: Final = node("Cast", "input", "floats", to=TensorProto.FLOAT)
SCALED: Final = (node("Mul", "floats gain", "scaled"), node("Sub", "scaled one", "ready"))
HALF: Final = {"gain": np.float32(1 / 127.5), "one": np.float32(1)}


@pytest.mark.parametrize(
    ("change", "mean", "std"),
    [
        (of_type(TensorProto.UINT8, in_front(CAST, *SCALED, **HALF)), 127.5, 127.5),
        (of_type(TensorProto.UINT8, in_front(node("Cast", "input", "ready", to=TensorProto.FLOAT))), 0.0, 1.0),
        (
            of_type(TensorProto.INT8, in_front(CAST, node("Div", "floats half", "ready"), half=np.float32(128))),
            128,
            128,
        ),
        (of_type(TensorProto.INT8, in_front(node("Cast", "input", "ready", to=TensorProto.FLOAT))), 128.0, 1.0),
    ],
)
def test_whole_numbers_are_the_bytes_of_a_picture(
    change: Change, mean: float, std: float, written: onnx.ModelProto, tmp_path: Path
) -> None:
    loaded = load_checkpoint(saved(written, change, tmp_path / "bytes.onnx"))
    assert loaded.config.mean == pytest.approx((mean,) * 3, abs=1e-3)
    assert loaded.config.std == pytest.approx((std,) * 3, abs=1e-3)
    assert loaded.note == ""


def grey(*nodes: onnx.NodeProto, **values: Any) -> Change:
    def change(graph: Any) -> None:
        graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1
        in_front(*nodes, **values)(graph)

    return change


@pytest.mark.parametrize(
    "change",
    [
        grey(node("Expand", "input shape", "ready"), shape=np.array([1, 3, 64, 64])),
        grey(node("Tile", "input times", "ready"), times=np.array([1, 3, 1, 1])),
        grey(node("Concat", "input input input", "ready", axis=1)),
    ],
    ids=["Expand", "Tile", "Concat"],
)
def test_a_grey_picture_taken_three_times_is_a_grey_network(
    change: Change, model: MobileNetV1, written: onnx.ModelProto, tmp_path: Path
) -> None:
    loaded = load_checkpoint(saved(written, change, tmp_path / "grey.onnx"))
    assert loaded.config.colour_order == "GRAY"
    with torch.no_grad():
        assert torch.allclose(loaded.model(X[:, :1]), model(X[:, :1].repeat(1, 3, 1, 1)), atol=1e-4)


RAGGED: Final = {"a": np.array([0]), "b": np.array([32]), "axes": np.array([2])}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (in_front(node("Resize", "input", "ready")), "(Resize) resizes the picture, which the device does: expected a"),
        (
            in_front(node("Slice", "input a b axes", "ready"), **RAGGED),
            "(Slice) cuts out a part of the picture's places",
        ),
        (in_front(node("Gather", "input a", "ready", axis=3), **RAGGED), "(Gather) takes some of the picture's places"),
        (in_front(node("Cast", "input", "ready", to=TensorProto.INT8)), "(Cast) makes whole numbers of the pixels"),
        (in_front(node("Div", "one input", "ready"), one=np.float32(1)), "(Div) divides a number by the pixels"),
        (
            in_front(node("Sub", "input all", "ready"), all=np.ones((1, 3, 64, 64), "f4")),
            "numbers of shape (1, 3, 64, 64)",
        ),
        (
            in_front(node("Reshape", "input to", "ready"), to=np.array([1, 64, 64, 3])),
            "(Reshape) changes the picture's",
        ),
        (in_front(node("Tile", "input times", "ready"), times=np.array([1, 9**9, 1, 1])), "makes 387420489 of each"),
    ],
)
def test_what_else_is_done_to_pixels_is_named(
    change: Change, message: str, written: onnx.ModelProto, tmp_path: Path
) -> None:
    found = refusal(saved(written, change, tmp_path / "odd.onnx"))
    assert found.startswith(": before the first convolution, operator 'ready' (") and message in found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            in_front(node("Gather", "input n", "ready", axis=1), n=np.array([0, 7, 1])),
            "(Gather) is damaged: index 7 is",
        ),
        (in_front(node("Gather", "input n", "ready", axis=1), n=np.zeros(0, int)), "leaves no channel of the picture"),
        (
            in_front(node("Split", "input n", "ready b c", axis=1), n=np.array([9, 9, 9])),
            "splits 3 channels into [9, 9, 9]",
        ),
        (
            in_front(node("Split", "input n", "ready b c", axis=1), n=np.array([-3, 3, 3])),
            "leaves no channel of the pict",
        ),
        (in_front(node("Concat", "input input", "ready")), "(Concat) is damaged: 'axis'"),
        (in_front(node("Transpose", "input", "ready", perm=[0, 0, 0, 0])), "orders 4 dimensions as [0, 0, 0, 0]"),
        (in_front(node("Slice", "input n", "ready"), n=np.array([0])), "cuts out a part that is computed"),
        (in_front(node("Squeeze", "input n", "ready"), n=np.array([3])), "takes a dimension of the picture away"),
        (in_front(node("Sub", "input n", "ready"), n=np.zeros((5, 1, 1), "f4")), "(Sub) is damaged: "),
        (
            in_front(node("Mul", "input n", "ready"), n=np.zeros((3, 1, 1), "f4")),
            "multiplies pixels by [0.0, 0.0, 0.0]",
        ),
    ],
)
def test_pixel_steps_that_cannot_be_are_refused(
    change: Change, message: str, written: onnx.ModelProto, tmp_path: Path
) -> None:
    assert message in refusal(saved(written, change, tmp_path / "odd.onnx"))


def unfolded(graph: Any) -> None:
    """Weights and biases that are computed of constants, as exporters leave them that do not optimize."""
    first, last = graph.node[0], graph.node[-1]
    while last.op_type not in ("Gemm", "Conv"):
        last = graph.node[list(graph.node).index(last) - 1]
    moved = {tensor.name: tensor for tensor in graph.initializer}
    weight, bias = numpy_helper.to_array(moved[first.input[1]]), numpy_helper.to_array(moved[last.input[2]])
    constants(graph, turned=weight.transpose(1, 2, 3, 0), half=bias / 2, two=np.float32(2), none=np.int64(0))
    first.input[1], last.input[2] = "weight", "bias"
    graph.node.insert(0, node("Transpose", "turned", "weight", perm=[3, 0, 1, 2]))
    graph.node.insert(0, node("Mul", "spread two_like", "bias"))
    graph.node.insert(0, node("CastLike", "two input", "two_like"))
    graph.node.insert(0, node("Expand", "same shape", "spread"))
    graph.node.insert(0, node("Shape", "half", "shape"))
    graph.node.insert(0, node("Identity", "half", "same"))


def test_what_is_computed_of_constants_is_computed(
    model: MobileNetV1, written: onnx.ModelProto, tmp_path: Path
) -> None:
    loaded = load_checkpoint(saved(written, unfolded, tmp_path / "unfolded.onnx"))
    with torch.no_grad():
        assert torch.allclose(loaded.model(X), model(X), atol=1e-4)


def bomb(*nodes: onnx.NodeProto, **values: Any) -> Change:
    def change(graph: Any) -> None:
        constants(graph, **values)
        graph.node[0].input[1] = "boom"
        for one in reversed(nodes):
            graph.node.insert(0, one)

    return change


@pytest.mark.parametrize(
    "change",
    [
        bomb(node("Expand", "one shape", "boom"), one=np.float32(1), shape=np.array([10**6, 10**6])),
        bomb(node("Mul", "row column", "boom"), row=np.ones((1, 10**5), "f4"), column=np.ones((10**5, 1), "f4")),
        bomb(
            *(node("Concat", f"x{n} x{n}", f"x{n + 1}", axis=0) for n in range(60)),
            node("Identity", "x60", "boom"),
            x0=np.ones(1000, "f4"),
        ),
    ],
    ids=["Expand", "Mul", "Concat"],
)
def test_constants_do_not_grow_without_bound(change: Change, written: onnx.ModelProto, tmp_path: Path) -> None:
    assert "takes weights that are computed or missing ('boom')" in refusal(saved(written, change, tmp_path / "b.onnx"))


def behind(*nodes: onnx.NodeProto, **values: Any) -> Change:
    """Operators behind the logits ``y``."""

    def change(graph: Any) -> None:
        constants(graph, **values)
        softmax = next(one for one in graph.node if one.op_type == "Softmax")
        name = softmax.input[0]
        graph.node.remove(softmax)
        for one in graph.node:
            one.output[:] = ["y" if output == name else output for output in one.output]
        graph.node.extend(nodes)
        graph.output[0].name = nodes[-1].output[0]

    return change


SOFTMAX: Final = node("Softmax", "y", "p", axis=1)


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (
            behind(node("ArgMax", "y", "best", axis=1)),
            "; layer 'best' is left out, which leaves the number of the best",
        ),
        (
            behind(SOFTMAX, node("ArgMax", "p", "best", axis=-1), node("Cast", "best", "z", to=1)),
            "; layer 'best' is left",
        ),
        (
            behind(SOFTMAX, node("Mul", "p n", "z"), n=np.float32(100)),
            "; layer 'z' is left out, which multiplies the so",
        ),
        (behind(SOFTMAX, node("Log", "p", "z")), ""),
        (behind(SOFTMAX, node("Unsqueeze", "p n", "z"), n=np.array([0])), ""),
        (behind(SOFTMAX, node("Identity", "p", "z")), ""),
    ],
)
def test_what_stands_behind_the_answer_and_changes_no_class_is_passed_over(
    change: Change, note: str, model: MobileNetV1, written: onnx.ModelProto, tmp_path: Path
) -> None:
    plain = load_checkpoint(saved(written, lambda graph: None, tmp_path / "plain.onnx")).note
    loaded = load_checkpoint(saved(written, change, tmp_path / "behind.onnx"))
    assert loaded.note.startswith(plain + note) and bool(note) == (loaded.note != plain)
    with torch.no_grad():
        assert torch.allclose(loaded.model(X), model(X), atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (behind(node("Softmax", "y", "p", axis=0)), "(Softmax) is over a batch of pictures: expected classes."),
        (behind(SOFTMAX, node("Add", "p n", "z"), n=np.float32(1)), "layer 'z' stands behind the softmax: expected"),
        (behind(SOFTMAX, node("Mul", "p n", "z"), n=np.float32(-1)), "layer 'z' stands behind the softmax: expected"),
        (behind(node("TopK", "y n", "v i"), n=np.array([3])), "(TopK) leaves some of the answers: export the network"),
        (behind(node("Log", "y", "z")), "layer 'z' is log: between fully connected layers expected ReLU"),
    ],
)
def test_what_changes_the_answer_is_refused(
    change: Change, message: str, written: onnx.ModelProto, tmp_path: Path
) -> None:
    assert message in refusal(saved(written, change, tmp_path / "odd.onnx"))


def limited(graph: Any) -> None:
    """ReLU6 as a maximum and a minimum."""
    constants(graph, low=np.float32(0), high=np.float32(6))
    for number, one in reversed(list(enumerate(graph.node))):
        if one.op_type == "Clip":
            name, taken = one.output[0], one.input[0]
            graph.node.remove(one)
            graph.node.insert(number, node("Min", f"{name}_low high", name))
            graph.node.insert(number, node("Max", f"low {taken}", f"{name}_low"))


def in_a_row(graph: Any) -> None:
    """The pool as ``x.flatten(2).mean(-1)[:, :, None, None]``."""
    number = next(n for n, one in enumerate(graph.node) if one.op_type == "GlobalAveragePool")
    pool = graph.node[number]
    constants(graph, flat=np.array([1, 256, -1]), four=np.array([1, -1, 1, 1]))
    graph.node.insert(number, node("Reshape", "means four", pool.output[0]))
    graph.node.insert(number, node("ReduceMean", "places", "means", axes=[-1], keepdims=0))
    graph.node.insert(number, node("Reshape", f"{pool.input[0]} flat", "places"))
    graph.node.remove(pool)


def only_place(graph: Any) -> None:
    """``x[:, :, 0, 0]`` behind the pool."""
    number = next(n for n, one in enumerate(graph.node) if one.op_type == "GlobalAveragePool")
    pool = graph.node[number]
    constants(graph, zero=np.array(0), four=np.array([1, -1, 1, 1]))
    graph.node.insert(number + 1, node("Reshape", "second four", pool.output[0]))
    graph.node.insert(number + 1, node("Gather", "first zero", "second", axis=2))
    graph.node.insert(number + 1, node("Gather", "pooled zero", "first", axis=2))
    pool.output[0] = "pooled"


@pytest.mark.parametrize("change", [limited, in_a_row, only_place])
def test_other_ways_to_write_the_same_are_read(
    change: Change, model: MobileNetV1, written: onnx.ModelProto, tmp_path: Path
) -> None:
    loaded = load_checkpoint(saved(written, change, tmp_path / "same.onnx"))
    with torch.no_grad():
        assert torch.allclose(loaded.model(X), model(X), atol=1e-4)


@pytest.fixture(scope="module")
def lite(shared_data: Path) -> bytes:
    source = shared_data / "forms/whole_float.tflite"
    if not source.is_file():
        pytest.skip("shared/data/forms is not beside the checkout")
    return source.read_bytes()


class Lite:
    """A ``.tflite`` file, to put operators in front of."""

    def __init__(self, content: bytes) -> None:
        self._model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
        self._graph = self._model.subgraphs[0]
        self._count = 0

    def tensor(self, shape: list[int], kind: int = schema.TensorType.FLOAT32, data: Any = None) -> int:
        buffer = schema.BufferT()
        if data is not None:
            buffer.data = np.frombuffer(np.asarray(data).tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = shape, kind, len(self._model.buffers) - 1
        tensor.name = f"new{len(self._graph.tensors)}"
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def take(self, kind: int) -> int:
        """A new input of another type; what took the old one is to take what operators make of this."""
        return self.tensor([1, 96, 96, 3], kind)

    def put(self, kind: str, inputs: list[int], options: Any = None, name: str = "", result: int | None = None) -> int:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        self._model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs = len(self._model.operatorCodes) - 1, inputs
        operator.outputs = [self.tensor([1, 96, 96, 3]) if result is None else result]
        if options is not None:
            operator.builtinOptionsType, operator.builtinOptions = getattr(schema.BuiltinOptions, name), options
        self._graph.operators.insert(self._count, operator)
        self._count += 1
        return int(operator.outputs[0])

    def written(self, first: int, last: int) -> bytes:
        """The file with the input ``first``, and with ``last`` in the old input's place."""
        old = int(self._graph.inputs[0])
        for operator in self._graph.operators[self._count :]:
            operator.inputs = [last if tensor == old else int(tensor) for tensor in operator.inputs]
        self._graph.inputs = [first]
        self._model.signatureDefs = None
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self._model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def cast(lite: Lite, first: int) -> int:
    return lite.put("CAST", [first], schema.CastOptionsT(), "CastOptions")


def scaled(lite: Lite, first: int) -> int:
    options = schema.MulOptionsT()
    taken = cast(lite, first)
    return lite.put("MUL", [taken, lite.tensor([], data=np.float32(1 / 64))], options, "MulOptions")


def turned(lite: Lite, first: int) -> int:
    options = schema.StridedSliceOptionsT()
    options.beginMask = options.endMask = 15
    numbers = [[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, -1]]
    ends = [lite.tensor([4], schema.TensorType.INT32, np.array(row, np.int32)) for row in numbers]
    moved = lite.tensor([1, 96, 96, 3], lite._graph.tensors[first].type)
    return cast(lite, lite.put("STRIDED_SLICE", [first, *ends], options, "StridedSliceOptions", moved))


@pytest.mark.parametrize(
    ("kind", "steps", "mean", "std", "is_turned"),
    [
        ("UINT8", cast, 0.0, 1.0, False),
        ("UINT8", scaled, 0.0, 64.0, False),
        ("INT8", scaled, 128.0, 64.0, False),
        ("INT32", scaled, 0.0, 64.0, False),
        ("UINT8", turned, 0.0, 1.0, True),
    ],
)
def test_a_float_tflite_file_that_takes_bytes_is_read(
    kind: str, steps: Callable[[Lite, int], int], mean: float, std: float, is_turned: bool, lite: bytes, tmp_path: Path
) -> None:
    file = Lite(lite)
    first = file.take(getattr(schema.TensorType, kind))
    (tmp_path / "bytes.tflite").write_bytes(file.written(first, steps(file, first)))
    (tmp_path / "plain.tflite").write_bytes(lite)
    loaded, plain = load_checkpoint(tmp_path / "bytes.tflite"), load_checkpoint(tmp_path / "plain.tflite")
    assert loaded.config.mean == pytest.approx((mean,) * 3)
    assert loaded.config.std == pytest.approx((std,) * 3)
    assert ("it turns the channels around itself" in loaded.note) == is_turned
    weights = plain.model.stem.conv.weight
    assert torch.equal(loaded.model.stem.conv.weight, weights.flip(1) if is_turned else weights)


def test_a_file_that_takes_bytes_cannot_run_as_it_is(lite: bytes, tmp_path: Path) -> None:
    file = Lite(lite)
    first = file.take(schema.TensorType.UINT8)
    (tmp_path / "bytes.tflite").write_bytes(file.written(first, cast(file, first)))
    with pytest.raises(
        BackendError, match=r"its input is in uint8 without a scale: .* such a file of it: edge-convert"
    ):
        check_structure(tmp_path / "bytes.tflite")


def test_a_tflite_file_for_an_edge_tpu_is_named(lite: bytes, tmp_path: Path) -> None:
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(lite, 0))
    code = model.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = b"edgetpu-custom-op"
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    (tmp_path / "m_edgetpu.tflite").write_bytes(builder.Output())
    assert refusal(tmp_path / "m_edgetpu.tflite").startswith(
        " is compiled for an Edge TPU, which alone can run it: use"
    )
