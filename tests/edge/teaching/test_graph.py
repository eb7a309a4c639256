"""Model files cut and given another classifier: int8, uint8 and float, own and foreign."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import edge
from edge.errors import TeachingError
from edge.inference.backends.litert import LiteRTBackend
from edge.inference.metadata_writer import ModelCard, ModelFacts
from edge.inference.tflite_metadata import read_metadata
from edge.inference.tflite_structure import check_structure
from edge.teaching.graph import Backbone
from edge.teaching.head import Head, softmax
from edge.vision.preprocess import Preprocessing
from tests.conftest import SHARED
from tests.edge.tflite_files import edited

FORMS = SHARED / "data" / "forms"
NAMES = ("cup", "key", "fox")
CARD = ModelCard(labels=NAMES, author="somebody", license="CC-BY-4.0")
needs_forms = pytest.mark.skipif(not FORMS.is_dir(), reason=f"there is no {FORMS} on this machine")


def demo_file() -> Path:
    bundle = edge.open_bundle("demo")
    return bundle.path(bundle.find(edge.Variant(0.25, 128)).artifacts[0].file)


def legacy_uint8(target: Path) -> Path:
    """A small network in uint8 throughout, one scale for each layer's weights, as Google's hosted ones are."""
    flatbuffers = pytest.importorskip("flatbuffers")
    schema: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")
    random = np.random.default_rng(0)
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.buffers, model.subgraphs = 3, [schema.BufferT()], [graph]
    graph.tensors, graph.operators = [], []

    def tensor(shape: tuple[int, ...], scale: float, zero_point: int, values: Any = None, kind: str = "UINT8") -> int:
        made, quantization = schema.TensorT(), schema.QuantizationParametersT()
        quantization.scale, quantization.zeroPoint = np.array([scale], np.float32), np.array([zero_point])
        made.shape, made.type, made.quantization = list(shape), getattr(schema.TensorType, kind), quantization
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
            model.buffers.append(buffer)
            made.buffer = len(model.buffers) - 1
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    def layer(taken: int, shape: tuple[int, ...], output: int, stride: int, scale_in: float) -> None:
        weights = tensor(shape, 0.01, 120, random.integers(60, 200, shape).astype(np.uint8))
        bias = tensor(shape[:1], scale_in * 0.01, 0, np.zeros(shape[0], np.int32), "INT32")
        options = schema.Conv2DOptionsT()
        options.strideW = options.strideH = stride
        options.dilationWFactor = options.dilationHFactor = 1
        options.padding = schema.Padding.VALID
        operator("CONV_2D", [taken, weights, bias], output, "Conv2DOptions", options)

    def operator(name: str, inputs: list[int], output: int, kind: str, options: Any) -> None:
        made, code = schema.OperatorT(), schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
        code.version = 1
        made.opcodeIndex, made.inputs, made.outputs = len(graph.operators), inputs, [output]
        made.builtinOptionsType, made.builtinOptions = getattr(schema.BuiltinOptions, kind), options
        graph.operators.append(made)
        model.operatorCodes = [*(model.operatorCodes or []), code]

    picture, features = tensor((1, 32, 32, 3), 1 / 127.5, 128), tensor((1, 1, 1, 16), 0.2, 128)
    layer(picture, (16, 32, 32, 3), features, 32, 1 / 127.5)
    logits, flat, answer = tensor((1, 1, 1, 5), 0.1, 128), tensor((1, 5), 0.1, 128), tensor((1, 5), 1 / 256, 0)
    layer(features, (5, 1, 1, 16), logits, 1, 0.2)
    operator("SQUEEZE", [logits], flat, "SqueezeOptions", schema.SqueezeOptionsT())
    graph.operators[-1].builtinOptions.squeezeDims = [1, 2]
    softmax_options = schema.SoftmaxOptionsT()
    softmax_options.beta = 1.0
    operator("SOFTMAX", [flat], answer, "SoftmaxOptions", softmax_options)
    graph.inputs, graph.outputs = [picture], [answer]
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    target.write_bytes(bytes(builder.Output()))
    return target


def values_of(path: Path, seed: int) -> NDArray[np.float32]:
    """What a file answers to a picture of noise."""
    backend = LiteRTBackend(path, 1)
    spec, random = backend.input_spec, np.random.default_rng(seed)
    small = random.integers(0, 256, (4, 4, 3)).repeat(spec.resolution // 4, 0).repeat(spec.resolution // 4, 1)
    levels = small - (128 if spec.dtype == "int8" else 0)
    backend.input()[0] = (small / 127.5 - 1 if spec.dtype == "float32" else levels).astype(spec.dtype)
    found: NDArray[np.float32] = backend.output_spec.real(backend.infer()).reshape(-1).copy()
    backend.close()
    return found


def facts(side: int, dtype: str) -> ModelFacts:
    return ModelFacts(
        name="x",
        description="taught",
        resolution=side,
        classes=3,
        preprocessing=Preprocessing(),
        input_dtype=dtype,
        output_dtype=dtype,
    )


def head_for(width: int, features: NDArray[Any]) -> Head:
    random = np.random.default_rng(3)
    weights = random.normal(size=(width, 3)) / np.sqrt(width)
    bias = np.array([0.5, -0.25, 0.0]) - features.mean(0) @ weights
    logits = features @ weights + bias
    return Head(weights, bias, (float(logits.min()) - 1, float(logits.max()) + 1), 1.0)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("demo", id="own int8"),
        pytest.param("legacy", id="uint8 throughout"),
        pytest.param("whole_uint8.tflite", marks=needs_forms, id="TensorFlow's uint8"),
        pytest.param("whole_float.tflite", marks=needs_forms, id="TensorFlow's float, free batch"),
    ],
)
def test_another_classifier_answers_as_it_was_learned(source: str, tmp_path: Path) -> None:
    if source == "demo":
        path = demo_file()
    else:
        path = legacy_uint8(tmp_path / "legacy.tflite") if source == "legacy" else FORMS / source
    backbone = Backbone(path)
    cut, new = tmp_path / "cut.tflite", tmp_path / "new.tflite"
    cut.write_bytes(backbone.without_classifier())
    check_structure(cut)
    features = np.stack([values_of(cut, seed) for seed in range(12)]).astype(np.float64)
    assert features.shape == (12, backbone.width) and features.std() > 0
    head = head_for(backbone.width, features)
    new.write_bytes(backbone.with_classifier(head, facts(32, backbone.dtype), CARD))
    check_structure(new)
    told = read_metadata(new)
    assert (told.labels, told.author, told.license) == (NAMES, "somebody", "CC-BY-4.0")
    expected = softmax(head.logits(features))
    found = np.stack([values_of(new, seed) for seed in range(12)])
    assert np.abs(found - expected).max() < (1e-5 if backbone.dtype == "float32" else 0.04)
    assert new.stat().st_size < path.stat().st_size + 40_000  # the old classifier is gone


@pytest.mark.parametrize(("dtype", "name"), [("uint8", "QUANTIZE"), ("float32", "DEQUANTIZE")])
def test_the_answer_keeps_the_type_that_it_had(dtype: str, name: str, tmp_path: Path) -> None:
    """Of an int8 network whose file gives uint8 or float, which MediaPipe and others want."""

    def with_output(model: Any, schema: Any) -> None:
        graph, code, operator, tensor = model.subgraphs[0], schema.OperatorCodeT(), schema.OperatorT(), schema.TensorT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
        code.version = 2
        model.operatorCodes.append(code)
        tensor.shape, tensor.type = [1, 10], getattr(schema.TensorType, dtype.upper())
        if dtype == "uint8":
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = np.array([1 / 256], np.float32), np.array([0])
        graph.tensors.append(tensor)
        operator.opcodeIndex, operator.inputs = len(model.operatorCodes) - 1, [int(graph.outputs[0])]
        operator.outputs = graph.outputs = [len(graph.tensors) - 1]
        graph.operators.append(operator)

    backbone = Backbone(edited(demo_file(), tmp_path / "model.tflite", with_output))
    assert (backbone.dtype, backbone.output_dtype) == ("int8", dtype)
    (cut := tmp_path / "cut.tflite").write_bytes(backbone.without_classifier())
    features = np.stack([values_of(cut, seed) for seed in range(4)]).astype(np.float64)
    head = head_for(backbone.width, features)
    (new := tmp_path / "new.tflite").write_bytes(backbone.with_classifier(head, facts(128, "int8"), CARD))
    check_structure(new)
    backend = LiteRTBackend(new, 1)
    assert backend.output_spec.dtype == dtype
    backend.close()
    found = np.stack([values_of(new, seed) for seed in range(4)])
    assert np.abs(found - softmax(head.logits(features))).max() < 0.04


def test_nothing_of_the_old_classifier_is_left(tmp_path: Path) -> None:
    schema: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")
    backbone = Backbone(demo_file())
    head = head_for(backbone.width, np.zeros((2, backbone.width)))
    content = backbone.with_classifier(head, facts(128, "int8"), CARD)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    (graph,) = model.subgraphs
    used = {int(n) for o in graph.operators for n in (*o.inputs, *o.outputs)}
    assert used == set(range(len(graph.tensors)))
    assert {t.buffer for t in graph.tensors} | {0, model.metadata[0].buffer} == set(range(len(model.buffers)))
    assert {o.opcodeIndex for o in graph.operators} == set(range(len(model.operatorCodes)))


def test_an_author_is_read_as_one_line_and_one_without_end_not_at_all(tmp_path: Path) -> None:
    backbone, path = Backbone(demo_file()), tmp_path / "model.tflite"
    head = head_for(backbone.width, np.zeros((2, backbone.width)))
    for author, told in (("some\x1b[31m\nbody \u202e", "some [31m body"), ("x" * 5000, "")):
        card = ModelCard(labels=NAMES, author=author, license="CC0-1.0")
        path.write_bytes(backbone.with_classifier(head, facts(128, "int8"), card))
        found = read_metadata(path)
        assert (found.author, found.license, found.labels) == (told, "CC0-1.0", NAMES)


def test_what_cannot_be_cut_is_refused_by_what_it_is(tmp_path: Path) -> None:
    def without_dense(model: Any, schema: Any) -> None:
        graph = model.subgraphs[0]
        graph.outputs = [graph.operators[-4].outputs[0]]
        del graph.operators[-3:]

    path = edited(demo_file(), tmp_path / "model.tflite", without_dense)
    with pytest.raises(TeachingError, match=r"cannot be cut: before its answer comes MEAN, not a layer on one vector"):
        Backbone(path)


def test_without_the_schema_that_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    with pytest.raises(TeachingError, match=r"which needs ai-edge-litert \(.*\): pip install ai-edge-litert"):
        Backbone(demo_file())


SCRIPT = """
import sys, numpy as np
from tflite_runtime.interpreter import Interpreter
interpreter = Interpreter(model_path=sys.argv[1])
interpreter.allocate_tensors()
taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
interpreter.set_tensor(taken["index"], np.load(sys.argv[2]))
interpreter.invoke()
scale, zero_point = given["quantization"]
print(*(scale * (interpreter.get_tensor(given["index"])[0].astype(float) - zero_point)))
"""


@pytest.mark.parametrize("source", ["own int8", "uint8 throughout"])
def test_tflite_runtime_answers_alike(source: str, tmp_path: Path) -> None:
    runtime = Path(sys.prefix) / "tflite-runtime"
    if not (runtime / "tflite_runtime").is_dir():
        pytest.skip(f"tflite-runtime is not in {runtime}; ./install.sh --test puts it there on Python <= 3.11")
    path = demo_file() if source == "own int8" else legacy_uint8(tmp_path / "legacy.tflite")
    backbone, new = Backbone(path), tmp_path / "new.tflite"
    (tmp_path / "cut.tflite").write_bytes(backbone.without_classifier())
    features = np.stack([values_of(tmp_path / "cut.tflite", seed) for seed in range(4)]).astype(np.float64)
    new.write_bytes(backbone.with_classifier(head_for(backbone.width, features), facts(32, backbone.dtype), CARD))
    backend = LiteRTBackend(new, 1)
    spec = backend.input_spec
    pixels = np.random.default_rng(0).integers(0, 100, spec.shape).astype(spec.dtype)
    backend.input()[...] = pixels
    expected = backend.output_spec.real(backend.infer())[0].copy()
    backend.close()
    np.save(tmp_path / "pixels.npy", pixels)
    line = [sys.executable, "-c", SCRIPT, str(new), str(tmp_path / "pixels.npy")]
    environment = os.environ | {"PYTHONPATH": str(runtime)}
    told = subprocess.run(line, env=environment, capture_output=True, text=True, check=True).stdout
    assert np.abs(np.array(told.split(), float) - expected).max() <= 0.03
