"""The ONNX forms: what ONNX Runtime computes from them, and that TensorRT finds what it needs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from convert.data.calibration_data import CalibrationData
from convert.export.onnx import to_onnx, to_qdq
from convert.model import Activation, ModelConfig, Padding
from convert.quantization import FoldedNetwork, Form, SymmetricNetwork, fold, quantize, symmetrize
from edge.bundles.variant import Variant
from tests.convert.conftest import CLASSES, lively

CONFIG = ModelConfig(alpha=0.25, classes=CLASSES)
SIDE = 64
MakeSymmetric = Callable[[Form], SymmetricNetwork]


@pytest.fixture(scope="module")
def network() -> FoldedNetwork:
    return fold(lively(CONFIG))


@pytest.fixture(scope="module")
def symmetric(network: FoldedNetwork, data: CalibrationData) -> MakeSymmetric:
    pixels = data.calibration.pixels[SIDE]
    integers = quantize(network, pixels, data.preprocessing)
    return cache(lambda form: symmetrize(network, integers, pixels, form))


def answers(content: bytes, x: torch.Tensor) -> NDArray[np.float32]:
    """Probabilities (count, classes) that ONNX Runtime finds, one picture at a time."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    dtype = {"tensor(float)": np.float32, "tensor(float16)": np.float16}[session.get_inputs()[0].type]
    found = [session.run(["probabilities"], {"input": picture[None].numpy().astype(dtype)})[0] for picture in x]
    return np.concatenate(found)


def noise(count: int = 8) -> torch.Tensor:
    return torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)


def graph_of(content: bytes) -> Any:
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert (model.opset_import[0].version, model.ir_version) == (13, 7), "TensorRT 8.5 reads these"
    return model.graph


@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize("activation", ["relu6", "relu"])
def test_onnx_runtime_computes_what_torch_does(padding: Padding, activation: Activation) -> None:
    model = lively(ModelConfig(alpha=0.25, classes=CLASSES, padding=padding, activation=activation))
    with torch.no_grad():
        expected = model(noise()).softmax(dim=1).numpy()
    network, variant = fold(model), Variant(0.25, SIDE)
    assert np.abs(answers(to_onnx(network, variant), noise()) - expected).max() < 1e-4
    assert np.abs(answers(to_onnx(network, variant, "fp16"), noise()) - expected).max() < 0.03


def shallow(activation: Activation, blocks: int = 3) -> FoldedNetwork:
    """The first blocks of a network and a classifier: few enough for rounding not to grow into other answers."""
    whole = fold(lively(ModelConfig(alpha=0.25, classes=CLASSES, activation=activation)))
    body = whole.layers[: 1 + 2 * blocks]
    weight = torch.randn(CLASSES, len(body[-1].bias), 1, 1, generator=torch.Generator().manual_seed(1))
    return replace(whole, layers=(*body, replace(whole.layers[-1], weight=weight)))


@pytest.mark.parametrize("activation", ["relu6", "relu"])
@pytest.mark.parametrize(("form", "most"), [("mixed", 0.03), ("full", 0.10)])
def test_the_int8_forms_stay_near_float_and_keep_each_channels_mean(
    data: CalibrationData, activation: Activation, form: Form, most: float
) -> None:
    network, pixels = shallow(activation), data.calibration.pixels[SIDE]
    integers = quantize(network, pixels, data.preprocessing)
    x = torch.from_numpy(data.preprocessing.real(pixels)).permute(0, 3, 1, 2).contiguous()
    found = np.log(answers(to_qdq(symmetrize(network, integers, pixels, form)), x))
    expected = np.log(network.logits(x).softmax(dim=1).numpy())
    # Both as logits that sum to 0 in each picture, which is all that probabilities tell of them.
    found, expected = (values - values.mean(axis=1, keepdims=True) for values in (found, expected))
    assert np.sqrt(np.square(found - expected).mean()) < most * expected.std()
    assert np.abs((found - expected).mean(axis=0)).max() < 0.1 * most * expected.std()


def test_the_float_forms_hold_what_every_tensorrt_reads(network: FoldedNetwork) -> None:
    graph = graph_of(to_onnx(network, Variant(0.25, 96)))
    assert [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim] == [1, 3, 96, 96]
    assert {node.op_type for node in graph.node} == {"Conv", "Clip", "GlobalAveragePool", "Flatten", "Softmax"}
    half = graph_of(to_onnx(network, Variant(0.25, 96), "fp16"))
    assert {constant.data_type for constant in half.initializer} == {onnx.TensorProto.FLOAT16}
    assert half.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT16
    assert half.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_q_and_dq_stand_where_tensorrt_fuses_them(symmetric: MakeSymmetric) -> None:
    graph = graph_of(to_qdq(symmetric("mixed")))
    makers = {output: node for node in graph.node for output in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    for node in convolutions:
        is_int8 = "pointwise" in node.name or "classifier" in node.name
        sources = [makers[name].op_type for name in node.input[:2] if name in makers]
        assert (sources == ["DequantizeLinear"] * 2) is is_int8, node.name
        if is_int8:
            assert makers[makers[node.input[0]].input[0]].op_type == "QuantizeLinear"
    assert sum(node.op_type == "QuantizeLinear" for node in graph.node) == 14


@pytest.mark.parametrize("activation", ["relu6", "relu"])
@pytest.mark.parametrize("form", ["mixed", "full"])
def test_no_clip_stands_before_rounding_which_saturates(
    data: CalibrationData, activation: Activation, form: Form
) -> None:
    """A builder that moves Q before a clip must scale the clip's ends, too: none is there to get wrong."""
    network, pixels = shallow(activation), data.calibration.pixels[SIDE]
    integers = quantize(network, pixels, data.preprocessing)
    graph = graph_of(to_qdq(symmetrize(network, integers, pixels, form)))
    users = {name: node for node in graph.node for name in node.input}

    def follow(node: onnx.NodeProto) -> list[str]:
        after: list[str] = []
        while node.op_type != "Conv" or not after:
            node = users[node.output[0]]
            if node.op_type in ("Conv", "Flatten", "GlobalAveragePool"):
                return after
            after += [node.op_type] if node.op_type != "Cast" else []
        return after

    found = {node.name.removesuffix("/sum"): follow(node) for node in graph.node if node.op_type == "Conv"}
    q_dq, cap = ["QuantizeLinear", "DequantizeLinear"], ["Clip" if activation == "relu6" else "Relu"]
    before_depthwise = cap if form == "mixed" else ["Relu", *q_dq]
    for name, after in found.items():
        if "depthwise" in name:
            assert after == q_dq, name
        elif name == "block3/pointwise":  # the pool is next
            assert after in (["Clip"], ["Clip", *q_dq]), name
        elif name == "classifier":
            assert after == []
        else:
            assert after == before_depthwise, name


def test_integers_are_symmetric_and_biases_float(symmetric: MakeSymmetric) -> None:
    for form in ("mixed", "full"):
        graph = graph_of(to_qdq(symmetric(form)))
        constants = {c.name: numpy_helper.to_array(c) for c in graph.initializer}
        for node in graph.node:
            if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                assert not constants[node.input[2]].any()
            if node.op_type == "Conv":
                assert constants[node.input[2]].dtype.kind == "f"


def test_the_pointwise_weights_are_those_of_the_tflite_file(
    network: FoldedNetwork, data: CalibrationData, symmetric: MakeSymmetric
) -> None:
    integers = quantize(network, data.calibration.pixels[SIDE], data.preprocessing)
    for ours, theirs in zip(symmetric("mixed").layers, integers.layers, strict=True):
        assert (ours.weight_scales is None) == (ours.kind in ("conv", "depthwise"))
        if ours.weight_scales is not None:
            assert np.array_equal(ours.weight, theirs.weight)
            assert np.array_equal(ours.weight_scales, theirs.weight_scales)


@pytest.mark.parametrize("form", ["mixed", "full"])
def test_a_shift_changes_nothing_that_is_computed(symmetric: MakeSymmetric, form: Form) -> None:
    """The input of a pointwise layer uses the whole int8 range, though TensorRT's zero point is 0."""
    for before, after in zip(symmetric(form).layers, symmetric(form).layers[1:], strict=False):
        if after.kind in ("pointwise", "classifier"):
            assert after.input_scale is not None
            assert before.shift == pytest.approx(128 * after.input_scale, rel=1e-6), "zero is the lowest level"
            assert before.limits == ((-before.shift, 6 - before.shift) if after.pools else None)
        else:
            assert before.shift == 0, "a depthwise layer pads with zeros: its input is not shifted"
            assert before.limits == ((0, math.inf) if form == "full" else (0, 6))


def test_the_same_network_gives_the_same_bytes(network: FoldedNetwork, symmetric: MakeSymmetric) -> None:
    assert to_onnx(network, Variant(0.25, SIDE)) == to_onnx(network, Variant(0.25, SIDE))
    assert to_qdq(symmetric("mixed")) == to_qdq(symmetric("mixed"))
