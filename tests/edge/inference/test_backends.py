"""The table of backends, and each backend on a model of one operator."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import subprocess
import sys
import weakref
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from edge.bundles.bundle import Bundle
from edge.bundles.variant import Variant
from edge.errors import BackendError, BundleError
from edge.inference.backends import (
    BACKENDS,
    Backend,
    Conditions,
    ModelFile,
    backend_reports,
    litert,
    onnxruntime,
    open_backend,
)
from edge.inference.backends.fake import FakeBackend
from edge.inference.inspection import inspect_model
from edge.vision.tensor import TensorSpec
from tests.edge.conftest import BundleOf
from tests.edge.tflite_files import computed_shape

SIDE = 32
VARIANT = Variant(0.25, SIDE)
NAME = VARIANT.name
JUNK = b"This is no model. " * 20


def test_a_model_in_a_folder_whose_name_is_no_utf8_is_run(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"w\xfcrfel")
    folder.mkdir()
    (folder / "model.tflite").write_bytes(tflite_bytes())
    backend = litert.LiteRTBackend(folder / "model.tflite", 1)
    assert backend.input_spec.shape == (1, SIDE, SIDE, 3)
    inspect_model(folder / "model.tflite")


def tflite_bytes() -> bytes:
    """A model that answers the mean of each channel: int8 (1, 32, 32, 3) to (1, 3)."""
    flatbuffers = pytest.importorskip("flatbuffers")
    schema: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")

    def tensor(name: str, shape: tuple[int, ...], kind: int, buffer: int, scale: float | None) -> Any:
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name.encode(), np.array(shape, np.int32), kind, buffer
        if scale is not None:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale = np.array([scale], np.float32)
            made.quantization.zeroPoint = np.array([-128], np.int64)
        return made

    axes = schema.BufferT()
    axes.data = np.frombuffer(np.array([1, 2], np.int32).tobytes(), np.uint8)
    graph, mean, code, model = schema.SubGraphT(), schema.OperatorT(), schema.OperatorCodeT(), schema.ModelT()
    graph.tensors = [
        tensor("picture", (1, SIDE, SIDE, 3), schema.TensorType.INT8, 0, 1 / 256),
        tensor("axes", (2,), schema.TensorType.INT32, 1, None),
        tensor("answer", (1, 3), schema.TensorType.INT8, 0, 1 / 256),
    ]
    mean.inputs, mean.outputs = [0, 1], [2]
    mean.builtinOptionsType, mean.builtinOptions = schema.BuiltinOptions.ReducerOptions, schema.ReducerOptionsT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.MEAN
    code.version = 2
    graph.inputs, graph.outputs, graph.operators = [0], [2], [mean]
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT(), axes]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def onnx_bytes(
    batch: int | str = 1, kind: str = "FLOAT", inputs: int = 1, *, side: int | str = SIDE, computed: bool = False
) -> bytes:
    """A model that answers the mean of each channel: (1, 3, 32, 32) to (1, 3), if wanted in a computed shape."""
    onnx: Any = pytest.importorskip("onnx")
    element = getattr(onnx.TensorProto, kind)
    info, shape, node = onnx.helper.make_tensor_value_info, [batch, 3, side, side], onnx.helper.make_node
    names = [f"picture{n}" for n in range(inputs)]
    nodes = [node("ReduceMean", names[:1], ["answer"], axes=[2, 3], keepdims=0)]
    if computed:
        nodes = [
            node("ReduceMean", names[:1], ["mean"], axes=[2, 3], keepdims=1),
            node("Shape", names[:1], ["sizes"]),
            node("Constant", [], ["two"], value_ints=[0, 1]),
            node("Gather", ["sizes", "two"], ["shape"]),
            node("Reshape", ["mean", "shape"], ["answer"]),
        ]
    outputs = [info("answer", element, [batch, 3])]
    graph = onnx.helper.make_graph(nodes, "mean", [info(name, element, shape) for name in names], outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


def quantized_onnx_bytes() -> bytes:
    """A model that answers the sum of the channels' means, three times, by a convolution with weights of 127 / 127."""
    onnx: Any = pytest.importorskip("onnx")
    info, node, kind = onnx.helper.make_tensor_value_info, onnx.helper.make_node, onnx.TensorProto
    constants = {"step": np.float32(1 / 127), "coarse": np.float32(3 / 127), "zero": np.int8(0)}
    held = {**constants, "weight": np.full((3, 3, 1, 1), 127, np.int8)}
    nodes = [
        node("QuantizeLinear", ["picture", "step", "zero"], ["levels"]),
        node("DequantizeLinear", ["levels", "step", "zero"], ["input"]),
        node("DequantizeLinear", ["weight", "step", "zero"], ["kernel"]),
        node("Conv", ["input", "kernel"], ["sums"]),
        node("QuantizeLinear", ["sums", "coarse", "zero"], ["rounded"]),
        node("DequantizeLinear", ["rounded", "coarse", "zero"], ["output"]),
        node("ReduceMean", ["output"], ["answer"], axes=[2, 3], keepdims=0),
    ]
    sides = info("picture", kind.FLOAT, [1, 3, SIDE, SIDE]), info("answer", kind.FLOAT, [1, 3])
    arrays = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()]
    graph = onnx.helper.make_graph(nodes, "sum", sides[:1], sides[1:], arrays)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


@pytest.fixture
def junk(bundle_of: BundleOf) -> Bundle:
    return bundle_of({"tflite": JUNK, "onnx": JUNK})


def refusal(bundle: Bundle, **wanted: Any) -> str:
    with pytest.raises(BackendError) as refused:
        open_backend(bundle, VARIANT, **wanted)
    message = str(refused.value)
    assert "\n" not in message
    return message


def hide(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Make modules look as if they were not installed."""
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)


BROKEN = (
    RuntimeError("module compiled against ABI version 0x1000009\nbut this one is 0x2000000"),
    OSError("libgomp.so.1: cannot allocate memory in static TLS block"),
    AttributeError("_ARRAY_API not found"),
    SystemExit(1),
    ImportError("undefined symbol: _ZN3fooE"),
)
"""What importing a runtime built for another machine or NumPy ends in."""


def break_runtimes(monkeypatch: pytest.MonkeyPatch, error: BaseException, *names: str) -> None:
    """Let the import of each of ``names`` raise ``error``, as a broken binary does."""
    real = importlib.import_module

    def fake(name: str, package: str | None = None) -> ModuleType:
        if name in names:
            raise error
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", fake)


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: type(error).__name__)
class TestBrokenRuntimes:
    def test_the_next_backend_is_tried_and_the_reason_kept(
        self, bundle_of: BundleOf, monkeypatch: pytest.MonkeyPatch, error: BaseException
    ) -> None:
        break_runtimes(monkeypatch, error, "ai_edge_litert.interpreter", "tflite_runtime.interpreter")
        opened = open_backend(bundle_of({"tflite": tflite_bytes(), "onnx": onnx_bytes()}), VARIANT)
        assert opened.backend.name == "onnxruntime"
        (refused,) = opened.refusals
        line = str(error).partition("\n")[0]
        assert refused.backend == "litert"
        assert refused.reason.startswith(f"neither runtime can be imported (ai-edge-litert: {line}; ")

    def test_reports_and_errors_give_it_in_one_line(
        self, bundle_of: BundleOf, monkeypatch: pytest.MonkeyPatch, error: BaseException
    ) -> None:
        break_runtimes(monkeypatch, error, "onnxruntime")
        report = next(one for one in backend_reports() if one.name == "onnxruntime")
        line = str(error).partition("\n")[0]
        assert report.detail == f"it cannot be imported ({line}): pip install onnxruntime."
        assert not report.is_available
        assert refusal(bundle_of({"onnx": onnx_bytes()}), name="onnxruntime").endswith(report.detail)

    def test_one_that_breaks_only_when_it_is_used(
        self, bundle_of: BundleOf, monkeypatch: pytest.MonkeyPatch, error: BaseException
    ) -> None:
        def interpreter(**options: Any) -> None:
            raise error

        monkeypatch.setattr("ai_edge_litert.interpreter.Interpreter", interpreter)
        opened = open_backend(bundle_of({"tflite": tflite_bytes(), "onnx": onnx_bytes()}), VARIANT)
        assert opened.backend.name == "onnxruntime"
        assert str(error).partition("\n")[0] in opened.refusals[0].reason
        assert "\n" not in opened.refusals[0].reason


class TestAfterClose:
    @pytest.mark.parametrize("name", ["litert", "onnxruntime", "fake"])
    def test_every_use_is_refused_in_one_way(self, bundle_of: BundleOf, name: str) -> None:
        bundle = bundle_of({"tflite": tflite_bytes(), "onnx": onnx_bytes()})
        backend = open_backend(bundle, VARIANT, name=name).backend
        backend.input()
        backend.infer()
        for _ in range(2):
            backend.close()
            for use in (backend.input, backend.infer):
                with pytest.raises(BackendError) as refused:
                    use()
                assert str(refused.value) == f"the {name} backend is closed: load the model again."

    def test_the_memory_of_litert_is_there_for_as_long_as_an_array_of_it(self, bundle_of: BundleOf) -> None:
        backend: Any = open_backend(bundle_of({"tflite": tflite_bytes()}), VARIANT, name="litert").backend
        interpreter, shown = weakref.ref(backend._interpreter), [backend.input()[0], backend.infer()]
        backend.close()
        assert interpreter() is not None
        shown.clear()
        assert interpreter() is None


class TestTable:
    def test_lists_the_backends_in_the_order_in_which_they_are_tried(self) -> None:
        assert [row.name for row in BACKENDS if not row.by_name_only] == ["tensorrt", "litert", "onnxruntime"]
        assert [row.name for row in BACKENDS if row.by_name_only] == ["fake"]

    @pytest.mark.parametrize("row", BACKENDS, ids=lambda row: row.name)
    def test_names_a_module_with_both_functions(self, row: Any) -> None:
        module = importlib.import_module(f"edge.inference.backends.{row.name}")
        assert callable(module.load) and callable(module.version)

    def test_automatic_choice_takes_the_first_that_works(self, bundle_of: BundleOf) -> None:
        opened = open_backend(bundle_of({"onnx": onnx_bytes(), "tflite": tflite_bytes()}), VARIANT)
        assert (opened.backend.name, opened.artifact.format, opened.refusals) == ("litert", "tflite", ())

    def test_automatic_choice_keeps_the_reason_of_those_it_passed_over(self, bundle_of: BundleOf) -> None:
        opened = open_backend(bundle_of({"onnx": onnx_bytes()}), VARIANT)
        assert opened.backend.name == "onnxruntime"
        assert [(r.backend, r.reason) for r in opened.refusals] == [
            ("litert", f"the bundle has no .tflite file of {NAME}.")
        ]

    def test_automatic_choice_passes_over_a_damaged_file(self, bundle_of: BundleOf) -> None:
        opened = open_backend(bundle_of({"tflite": JUNK, "onnx": onnx_bytes()}), VARIANT)
        assert (opened.backend.name, opened.artifact.format) == ("onnxruntime", "onnx")
        assert "not a valid TensorFlow Lite model: bytes 4 to 8" in opened.refusals[0].reason

    def test_automatic_choice_never_takes_the_fake(self, junk: Bundle) -> None:
        message = refusal(junk)
        assert message.startswith(f"No backend could open {NAME}. litert: ")
        assert " onnxruntime: " in message
        assert "fake" not in message

    def test_a_name_is_obeyed(self, bundle_of: BundleOf) -> None:
        bundle = bundle_of({"tflite": tflite_bytes(), "onnx": onnx_bytes()})
        for name in ("litert", "onnxruntime", "fake"):
            opened = open_backend(bundle, VARIANT, name=name, threads=2)
            assert (opened.backend.name, opened.backend.threads, opened.refusals) == (name, 2, ())
            assert opened.backend.conditions == Conditions(includes_transfers=False, cuda_graph=False)

    def test_a_name_is_obeyed_even_if_that_fails(self, bundle_of: BundleOf) -> None:
        message = refusal(bundle_of({"tflite": JUNK, "onnx": onnx_bytes()}), name="litert")
        assert message.startswith(f"No backend could open {NAME}. litert: ")
        assert "onnxruntime" not in message

    def test_an_unknown_name_is_answered_with_the_known_ones(self, junk: Bundle) -> None:
        known = "auto, tensorrt, litert, onnxruntime, fake"
        assert refusal(junk, name="tpu") == f"There is no backend 'tpu': expected {known}."

    @pytest.mark.parametrize("threads", [0, -1])
    def test_there_is_at_least_one_thread(self, junk: Bundle, threads: int) -> None:
        assert refusal(junk, threads=threads) == f"A backend cannot use {threads} threads: expected 1 to 1024."

    def test_a_format_that_the_bundle_lacks_is_named(self, bundle_of: BundleOf) -> None:
        assert refusal(bundle_of({"tflite": JUNK}), name="onnxruntime") == (
            f"No backend could open {NAME}. onnxruntime: the bundle has no .onnx file of {NAME}."
        )

    def test_a_variant_that_the_bundle_lacks_is_the_bundles_error(self, junk: Bundle) -> None:
        with pytest.raises(BundleError, match=r"Bundle tiny has no mobilenet_v1_1\.00_224"):
            open_backend(junk, Variant(1.0, 224))

    def test_nothing_installed_gives_every_reason_and_the_way_out(
        self, junk: Bundle, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hide(monkeypatch, "ai_edge_litert.interpreter", "tflite_runtime.interpreter", "onnxruntime")
        message = refusal(junk)
        assert "litert: neither runtime can be imported (ai-edge-litert: " in message
        assert "; tflite-runtime: " in message
        assert "pip install ai-edge-litert." in message
        assert "onnxruntime: it cannot be imported (" in message
        assert message.endswith("pip install onnxruntime.")

    def test_reports_tell_versions_and_reasons(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("ai_edge_litert")
        hide(monkeypatch, "onnxruntime")
        reports = {report.name: report for report in backend_reports()}
        assert list(reports) == ["litert", "onnxruntime"]
        assert reports["litert"].is_available
        assert reports["litert"].detail == f"ai-edge-litert {importlib.metadata.version('ai-edge-litert')}"
        assert not reports["onnxruntime"].is_available
        assert "pip install onnxruntime" in reports["onnxruntime"].detail


def load_litert(folder: Path, content: bytes) -> Backend:
    (folder / "model.tflite").write_bytes(content)
    return litert.load(ModelFile(folder / "model.tflite", VARIANT, 3), 1)


def load_onnx(folder: Path, content: bytes) -> Backend:
    (folder / "model.onnx").write_bytes(content)
    return onnxruntime.load(ModelFile(folder / "model.onnx", VARIANT, 3), 1)


class TestLiteRT:
    def test_tells_its_tensors_and_runs(self, tmp_path: Path) -> None:
        backend = load_litert(tmp_path, tflite_bytes())
        scale = float(np.float32(1 / 256))
        assert backend.input_spec == TensorSpec(shape=(1, SIDE, SIDE, 3), dtype="int8", scale=scale, zero_point=-128)
        assert backend.output_spec == TensorSpec(shape=(1, 3), dtype="int8", scale=scale, zero_point=-128)
        for picture in ((10, 20, 30), (-128, 0, 127)):
            backend.input()[:] = np.array(picture, np.int8)
            assert backend.infer().tolist() == [list(picture)]
        assert backend.version.startswith("ai-edge-litert ")

    @pytest.mark.parametrize(("then", "sign"), [("", 1), ("RELU", 1), ("NEG", -1)])
    def test_takes_a_shape_that_is_computed_in_the_graph(self, tmp_path: Path, then: str, sign: int) -> None:
        """The first run moves the output, and may move the input."""
        backend = load_litert(tmp_path, computed_shape(then))
        assert backend.output_spec == TensorSpec(shape=(1, 3), dtype="float32")
        picture = backend.input()
        for values in ((1.0, 2.0, 3.0), (8.0, 0.5, 4.0), (0.25, 7.0, 6.0)):
            noise = [np.zeros(size) for size in (1, 12, 100, 3072, 12288)]  # takes memory that a run may have freed
            picture[:] = np.array(values, np.float32)
            assert (sign * backend.infer()).tolist() == [list(values)]
            assert backend.input() is picture
            del noise
        backend.close()
        assert picture[0, 0, 0].tolist() == [0.25, 7.0, 6.0]

    def test_works_in_the_runtimes_own_memory_where_that_stays(self, tmp_path: Path) -> None:
        """Copying takes time in every frame."""
        backend = load_litert(tmp_path, tflite_bytes())
        assert backend.infer() is backend.infer()

    def test_a_run_that_fails_at_loading_is_one_line(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def invoke(interpreter: Any) -> None:
            raise RuntimeError("Node 3 failed to invoke.\nand more")

        monkeypatch.setattr("ai_edge_litert.interpreter.Interpreter.invoke", invoke)
        with pytest.raises(BackendError) as refused:
            load_litert(tmp_path, tflite_bytes())
        assert str(refused.value) == f"{litert.version()} failed to run the model: Node 3 failed to invoke."

    def test_refuses_answers_that_change_their_shape(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        backend = load_litert(tmp_path, computed_shape())
        monkeypatch.setattr(
            "ai_edge_litert.interpreter.Interpreter.get_tensor", lambda interpreter, index: np.zeros((2, 3), np.float32)
        )
        with pytest.raises(BackendError, match=r"gave an answer of shape \(2, 3\): expected \(1, 3\) as before\."):
            backend.infer()

    def test_closing_twice_is_closing_once(self, tmp_path: Path) -> None:
        backend = load_litert(tmp_path, tflite_bytes())
        backend.close()
        backend.close()

    @pytest.mark.parametrize("content", [JUNK, b"", tflite_bytes()[:200]])
    def test_refuses_a_damaged_file_on_one_line(self, tmp_path: Path, content: bytes) -> None:
        with pytest.raises(BackendError) as refused:
            load_litert(tmp_path, content)
        assert str(refused.value).startswith(f"{litert.version()} cannot load {tmp_path / 'model.tflite'}: ")
        assert "\n" not in str(refused.value)

    def test_takes_tflite_runtime_where_ai_edge_litert_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        hide(monkeypatch, "ai_edge_litert.interpreter")
        for name in ("tflite_runtime", "tflite_runtime.interpreter"):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        monkeypatch.setattr(litert, "package_version", {"tflite-runtime": "2.14.0"}.__getitem__)
        assert litert.version() == "tflite-runtime 2.14.0"

    def test_does_without_a_version_where_none_is_recorded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown(distribution: str) -> str:
            raise importlib.metadata.PackageNotFoundError(distribution)

        pytest.importorskip("ai_edge_litert")
        monkeypatch.setattr(litert, "package_version", unknown)
        assert litert.version() == "ai-edge-litert"


class TestOnnxRuntime:
    @pytest.mark.parametrize("value", [1.0, -1.0, 0.5])
    def test_products_do_not_overflow(self, tmp_path: Path, value: float) -> None:
        """On x86 without VNNI, ONNX Runtime's kernels add pairs of products in int16 unless they are told otherwise."""
        backend = load_onnx(tmp_path, quantized_onnx_bytes())
        backend.input()[:] = value
        assert backend.infer()[0] == pytest.approx([3 * value] * 3, abs=3 / 127)

    def test_tells_its_tensors_and_runs(self, tmp_path: Path) -> None:
        backend = load_onnx(tmp_path, onnx_bytes())
        assert backend.input_spec == TensorSpec(shape=(1, 3, SIDE, SIDE), dtype="float32")
        assert backend.output_spec == TensorSpec(shape=(1, 3), dtype="float32")
        for value in (0.25, -3.0):
            backend.input()[:] = value
            assert backend.infer().tolist() == [[value] * 3]
        assert backend.version == onnxruntime.version()

    def test_takes_a_shape_that_is_computed_in_the_graph(self, tmp_path: Path) -> None:
        """The session writes what it is bound to, wherever it made the answer."""
        backend = load_onnx(tmp_path, onnx_bytes(computed=True))
        picture = backend.input()
        for value in (0.25, -3.0, 8.0):
            picture[:] = value
            assert backend.infer().tolist() == [[value] * 3]

    def test_takes_half_floats(self, tmp_path: Path) -> None:
        assert load_onnx(tmp_path, onnx_bytes(kind="FLOAT16")).input_spec.dtype == "float16"

    def test_closing_twice_is_closing_once(self, tmp_path: Path) -> None:
        backend = load_onnx(tmp_path, onnx_bytes())
        backend.close()
        backend.close()

    @pytest.mark.parametrize("content", [JUNK, b"", onnx_bytes()[:80]])
    def test_refuses_a_damaged_file_on_one_line(self, tmp_path: Path, content: bytes) -> None:
        with pytest.raises(BackendError) as refused:
            load_onnx(tmp_path, content)
        assert "\n" not in str(refused.value)
        assert str(tmp_path / "model.onnx") in str(refused.value)

    def test_takes_one_picture_where_the_file_leaves_their_number_open(self, tmp_path: Path) -> None:
        backend = load_onnx(tmp_path, onnx_bytes(batch="N"))
        assert (backend.input_spec.shape, backend.output_spec.shape) == ((1, 3, SIDE, SIDE), (1, 3))
        backend.input()[:] = 0.25
        assert backend.infer().tolist() == [[0.25] * 3]

    def test_refuses_sizes_that_are_not_fixed(self, tmp_path: Path) -> None:
        with pytest.raises(BackendError) as refused:
            load_onnx(tmp_path, onnx_bytes(side="S"))
        assert str(refused.value) == (
            f"{tmp_path / 'model.onnx'}: tensor picture0 is tensor(float) [1, 3, 'S', 'S']: expected fixed sizes and "
            "one of tensor(float), tensor(float16), tensor(uint8), tensor(int8). Export it for pictures of one size."
        )

    def test_refuses_another_type(self, tmp_path: Path) -> None:
        with pytest.raises(BackendError, match=r"tensor picture0 is tensor\(double\)"):
            load_onnx(tmp_path, onnx_bytes(kind="DOUBLE"))

    def test_refuses_two_inputs(self, tmp_path: Path) -> None:
        with pytest.raises(BackendError) as refused:
            load_onnx(tmp_path, onnx_bytes(inputs=2))
        assert str(refused.value) == (f"{tmp_path / 'model.onnx'} has 2 inputs and 1 outputs: expected one of each.")


class TestFake:
    def test_goes_by_brightness(self) -> None:
        backend = FakeBackend(resolution=32, classes=4)
        for level, best in ((-128, 0), (-60, 1), (0, 2), (127, 3)):
            backend.input()[:] = np.int8(level)
            assert int(backend.infer()[0].argmax()) == best

    def test_takes_as_long_as_it_is_told(self) -> None:
        import time

        backend = FakeBackend(latency_ms=3.0)
        start = time.perf_counter()
        backend.infer()
        assert 1e3 * (time.perf_counter() - start) >= 3.0


def test_onnx_runtime_is_told_to_report_nothing(tmp_path: Path) -> None:
    """Late versions keep an id of the machine in the home folder when they are imported, and report to Microsoft."""
    pytest.importorskip("onnxruntime")
    program = "from edge.inference.backends import onnxruntime; print(onnxruntime.version())"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    folder = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, timeout=60)
    assert (done.returncode, list(tmp_path.iterdir())) == (0, []), done.stderr
