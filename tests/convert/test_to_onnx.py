import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from convert.model import Activation, ModelConfig, Padding
from convert.quantize import fold
from convert.to_onnx import to_onnx
from edge.variant import Variant
from tests.convert.conftest import CLASSES, lively


@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize("activation", ["relu6", "relu"])
def test_onnx_runtime_computes_what_torch_does(padding: Padding, activation: Activation) -> None:
    model = lively(ModelConfig(alpha=0.25, classes=CLASSES, padding=padding, activation=activation))
    content = to_onnx(fold(model), Variant(0.25, 64))
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    with torch.no_grad():
        expected = model(x).softmax(dim=1).numpy()
    (found,) = session.run(["probabilities"], {"input": x.numpy()})
    assert np.abs(found - expected).max() < 1e-4


def test_the_file_is_one_that_old_runtimes_read() -> None:
    model = onnx.load_from_string(to_onnx(fold(lively(ModelConfig(alpha=0.25, classes=CLASSES))), Variant(0.25, 96)))
    assert (model.opset_import[0].version, model.ir_version) == (13, 7)
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [1, 3, 96, 96]
    assert {node.op_type for node in model.graph.node} == {"Conv", "Clip", "GlobalAveragePool", "Flatten", "Softmax"}


def test_the_same_network_gives_the_same_bytes() -> None:
    network = fold(lively(ModelConfig(alpha=0.25, classes=CLASSES)))
    assert to_onnx(network, Variant(0.25, 64)) == to_onnx(network, Variant(0.25, 64))
