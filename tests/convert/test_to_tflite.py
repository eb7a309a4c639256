import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from convert.data.calibration_data import CalibrationData
from convert.errors import ConversionError
from convert.export.tflite import to_tflite
from convert.model import ModelConfig
from convert.quantization import QuantizedNetwork, fold, quantize
from edge.teaching.graph import Backbone
from edge.vision.preprocess import Preprocessing
from tests.convert.conftest import CLASSES, lively
from tests.convert.test_quantize import simulate_layer

AUTO = OpResolverType.AUTO
BUILTIN = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
TFLITE_RUNTIME = Path(sys.prefix) / "tflite-runtime"


@pytest.fixture(scope="module", params=["same", "symmetric"])
def network(request: pytest.FixtureRequest, data: CalibrationData) -> QuantizedNetwork:
    head = 32 if request.param == "symmetric" else 0  # as timm's mobilenetv1_100h has both
    model = lively(ModelConfig(alpha=0.25, classes=CLASSES, padding=request.param, head=head))
    return quantize(fold(model), data.calibration.pixels[64], Preprocessing())


def run(content: bytes, pixels: np.ndarray, resolver: OpResolverType = AUTO) -> np.ndarray:
    """Probabilities (count, classes) as integers from 0 to 255, whatever the file's type."""
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    answers = []
    for picture in pixels:
        fed = picture if source["dtype"] is np.uint8 else (picture ^ 0x80).view(np.int8)
        interpreter.set_tensor(source["index"], fed[None])
        interpreter.invoke()
        answer = interpreter.get_tensor(target["index"])[0]
        answers.append(answer if answer.dtype == np.uint8 else answer.view(np.uint8) ^ 0x80)
    return np.stack(answers).astype(int)


def correlation(some: np.ndarray, others: np.ndarray) -> float:
    """Of answers whose last bits differ: random weights make much of a level in the mean, which kernels round apart."""
    return float(np.corrcoef(some.ravel(), others.ravel())[0, 1])


def test_every_layer_computes_what_its_integers_say(network: QuantizedNetwork, data: CalibrationData) -> None:
    """Each layer alone, on the input that the interpreter itself gave it: rounding must not add up."""
    interpreter = Interpreter(
        model_content=to_tflite(network),
        experimental_op_resolver_type=BUILTIN,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    index = {details["name"]: details["index"] for details in interpreter.get_tensor_details()}
    interpreter.set_tensor(index["input"], (data.held_out.pixels[64][:1] ^ 0x80).view(np.int8))
    interpreter.invoke()
    before = "input"
    for layer in network.layers:
        before = "pool" if layer.kind == "classifier" else before
        q, found = (interpreter.get_tensor(index[name]).transpose(0, 3, 1, 2) for name in (before, layer.name))
        assert np.abs(simulate_layer(layer, q.astype(np.int64)) - found).max() <= 1, layer.name
        before = layer.name


def test_xnnpack_answers_as_the_builtin_kernels_do(
    network: QuantizedNetwork, data: CalibrationData, tmp_path: Path
) -> None:
    """On the features: the random classifier after them multiplies a level that kernels round apart, by the CPU."""
    pixels, path = data.held_out.pixels[64], tmp_path / "model.tflite"
    path.write_bytes(to_tflite(network))
    features = Backbone(path).without_classifier()
    with_xnnpack, builtin = (run(features, pixels, resolver).reshape(len(pixels), -1) for resolver in (AUTO, BUILTIN))
    assert correlation(with_xnnpack - builtin.mean(0), builtin - builtin.mean(0)) > 0.9
    assert np.abs(with_xnnpack - builtin).mean() < 0.3 * builtin.std(0).mean()


def test_uint8_files_take_camera_bytes_and_answer_the_same(network: QuantizedNetwork, data: CalibrationData) -> None:
    pixels = data.held_out.pixels[64]
    assert np.array_equal(run(to_tflite(network, io="uint8"), pixels), run(to_tflite(network), pixels))


@pytest.mark.parametrize("io", ["int8", "uint8"])
def test_inputs_and_outputs_are_declared(network: QuantizedNetwork, io: Literal["int8", "uint8"]) -> None:
    interpreter = Interpreter(model_content=to_tflite(network, io=io))
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    shift = 128 if io == "uint8" else 0
    assert (source["name"], list(source["shape"]), source["dtype"]) == ("input", [1, 64, 64, 3], np.dtype(io).type)
    assert source["quantization"] == (pytest.approx(1 / 127.5), shift - 1)
    assert (target["name"], list(target["shape"])) == ("probabilities", [1, CLASSES])
    assert target["quantization"] == (1 / 256, shift - 128)


def test_the_same_network_gives_the_same_bytes(network: QuantizedNetwork) -> None:
    assert to_tflite(network) == to_tflite(network)


def operators(content: bytes) -> list[str]:
    model: Any = schema.ModelT.InitFromPackedBuf(content, 0)
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    codes = [names[code.builtinCode] for code in model.operatorCodes]
    return [codes[operator.opcodeIndex] for operator in model.subgraphs[0].operators]


def test_the_graph_is_that_of_the_official_converter(data: CalibrationData) -> None:
    model = lively(ModelConfig(alpha=0.25, classes=CLASSES))
    content = to_tflite(quantize(fold(model), data.calibration.pixels[64], Preprocessing()))
    assert content[4:8] == b"TFL3"
    expected = ["CONV_2D", *["DEPTHWISE_CONV_2D", "CONV_2D"] * 13, "MEAN", "CONV_2D", "RESHAPE", "SOFTMAX"]
    assert operators(content) == expected


def test_symmetric_padding_becomes_an_explicit_pad_where_same_means_another(data: CalibrationData) -> None:
    model = lively(ModelConfig(alpha=0.25, classes=CLASSES, padding="symmetric"))
    content = to_tflite(quantize(fold(model), data.calibration.pixels[64], Preprocessing()))
    assert operators(content).count("PAD") == 5


def test_an_activation_that_cannot_be_fused_is_refused(network: QuantizedNetwork) -> None:
    odd = replace(network, layers=(replace(network.layers[0], cap=3.5), *network.layers[1:]))
    with pytest.raises(ConversionError) as error:
        to_tflite(odd)
    assert str(error.value) == "Layer stem ends at 3.5: TensorFlow Lite fuses ReLU6 and ReLU only."


SCRIPT = """
import sys, numpy as np
from tflite_runtime.interpreter import Interpreter
interpreter = Interpreter(sys.argv[1]); interpreter.allocate_tensors()
source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
for picture in np.load(sys.argv[2]):
    interpreter.set_tensor(source["index"], picture[None]); interpreter.invoke()
    print(*interpreter.get_tensor(target["index"]).ravel())
"""


def test_tflite_runtime_2_14_loads_the_file_and_agrees(
    network: QuantizedNetwork, data: CalibrationData, tmp_path: Path
) -> None:
    if not (TFLITE_RUNTIME / "tflite_runtime").is_dir():
        pytest.skip(f"tflite-runtime is not in {TFLITE_RUNTIME}; ./install.sh --test puts it there on Python <= 3.11")
    pixels = data.held_out.pixels[64]
    whole = tmp_path / "whole.tflite"
    whole.write_bytes(to_tflite(network, io="uint8"))
    features = Backbone(whole).without_classifier()
    (tmp_path / "model.tflite").write_bytes(features)
    np.save(tmp_path / "pixels.npy", pixels)
    environment = os.environ | {"PYTHONPATH": str(TFLITE_RUNTIME)}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "model.tflite"), str(tmp_path / "pixels.npy")]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    found = np.array([[int(v) for v in line.split()] for line in told.splitlines()])
    builtin = run(features, pixels, BUILTIN).reshape(len(pixels), -1) - 128
    assert correlation(found - builtin.mean(0), builtin - builtin.mean(0)) > 0.9
