"""The TensorRT backend on a stand-in for GPU and TensorRT. What only a real GPU can show is in scripts/test-gpu."""

from __future__ import annotations

import gc
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.errors import BackendError
from edge.inference import classifier as classify
from edge.inference.backends import ModelFile, backend_reports, open_backend, tensorrt
from edge.inference.backends.base import Conditions
from edge.inference.backends.tensorrt import TensorRTBackend
from edge.inference.cuda import Cuda
from edge.inference.engine_cache import EngineStore, Platform, Source
from edge.profiling.profile import LatencyProfile
from edge.profiling.profile_cache import profile
from edge.profiling.timing import StopRule
from edge.vision.tensor import TensorSpec
from tests.edge.conftest import BundleOf
from tests.edge.fake_gpu import FakeCudart, FakeTensorRT, engine_bytes
from tests.edge.inference.test_backends import NAME, SIDE, VARIANT, hide, onnx_bytes, tflite_bytes


def backend(cudart: FakeCudart, content: bytes | None = None, **options: Any) -> TensorRTBackend:
    return TensorRTBackend(content or engine_bytes(), Cuda(cudart), FakeTensorRT(cudart), **options)


@dataclass
class Board:
    """A Jetson whose TensorRT and GPU are stand-ins."""

    cudart: FakeCudart
    trt: FakeTensorRT
    store: EngineStore
    l4t: str = "36.4.3"

    @property
    def platform(self) -> Platform:
        return Platform(tensorrt=self.trt.__version__, cuda="12.6", compute_capability="8.7", l4t=self.l4t)

    def build(self, bundle: Any, content: bytes | None = None, precision: str | None = None) -> None:
        artifact = bundle.find(VARIANT).artifact("onnx", precision)
        with self.store.lock():
            new = self.store.folder / "new"
            new.write_bytes(content or engine_bytes(version=self.trt.__version__))
            self.store.add(
                Source(path=bundle.path(artifact.file), sha256=artifact.sha256), self.platform, new, {"dla_core": None}
            )


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Board:
    cudart = FakeCudart(integrated=True)
    made = Board(cudart, FakeTensorRT(cudart), EngineStore(tmp_path / "cache/mobilenet-edge/engines"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tensorrt, "runtime", lambda: made.trt)
    monkeypatch.setattr(tensorrt, "load_cuda", lambda: Cuda(cudart))
    monkeypatch.setattr(tensorrt, "is_expected", lambda: True)
    monkeypatch.setattr(tensorrt, "current_platform", lambda trt, cuda: made.platform)
    return made


@pytest.mark.parametrize("integrated", [True, False])
@pytest.mark.parametrize("graph", [True, False])
def test_it_runs_and_says_under_which_conditions(integrated: bool, graph: bool) -> None:
    cudart = FakeCudart(integrated=integrated)
    opened = backend(cudart, graph=graph, threads=3)
    assert opened.conditions == Conditions(includes_transfers=not integrated, cuda_graph=graph)
    assert (opened.version, opened.threads) == ("TensorRT 10.3.0", 3)
    assert opened.input_spec == TensorSpec(shape=(1, 3, SIDE, SIDE), dtype="float32")
    for value in (0.25, -3.0):
        opened.input()[:] = value
        assert opened.infer().tolist() == [[value] * 3]
    opened.close()
    assert cudart.is_clean


def test_a_picture_in_half_floats_is_taken() -> None:
    opened = backend(FakeCudart(), engine_bytes(dtype="HALF"))
    opened.input()[:] = 0.5
    assert opened.input().dtype == np.float16
    assert opened.infer().tolist() == [[0.5] * 3]


def test_inferring_only_launches_the_graph_and_waits() -> None:
    cudart = FakeCudart()
    opened = backend(cudart)
    cudart.calls.clear()
    opened.infer()
    assert cudart.calls == ["cudaGraphLaunch", "cudaStreamSynchronize"]


@pytest.mark.parametrize("function", ["cudaStreamBeginCapture", "cudaGraphInstantiateWithFlags"])
def test_work_that_cannot_be_recorded_is_enqueued_each_time(function: str) -> None:
    cudart = FakeCudart()
    cudart.failing[function] = 1
    opened = backend(cudart)
    assert not opened.conditions.cuda_graph
    opened.input()[:] = 2
    assert opened.infer().tolist() == [[2.0] * 3]
    opened.close()
    assert cudart.is_clean


def test_closing_twice_is_closing_once_and_then_nothing_works() -> None:
    opened = backend(FakeCudart())
    opened.close()
    opened.close()
    for use in (opened.input, opened.infer):
        with pytest.raises(BackendError, match="the tensorrt backend is closed"):
            use()


@pytest.mark.parametrize("function", ["cudaMalloc", "cudaHostAlloc", "cudaStreamCreateWithFlags", "cudaMemcpyAsync"])
def test_a_failure_while_loading_frees_what_was_taken(function: str) -> None:
    cudart = FakeCudart()
    cudart.failing[function] = 2
    with pytest.raises(BackendError, match=f"CUDA failed in {function}: out of memory"):
        backend(cudart)
    assert cudart.is_clean


def test_a_failed_call_while_running_is_one_clear_error() -> None:
    cudart = FakeCudart()
    opened = backend(cudart)
    cudart.failing["cudaStreamSynchronize"] = 700
    with pytest.raises(BackendError, match=r"^CUDA failed in cudaStreamSynchronize: an illegal memory access"):
        opened.infer()


def test_an_engine_that_does_not_run_is_refused() -> None:
    cudart = FakeCudart()
    trt = FakeTensorRT(cudart)
    trt.breaking = True
    with pytest.raises(BackendError, match=r"TensorRT 10\.3\.0 failed to run the engine"):
        TensorRTBackend(engine_bytes(), Cuda(cudart), trt)
    assert cudart.is_clean


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (engine_bytes(version="8.6.2"), r"TensorRT 10\.3\.0 cannot load the engine \(Version tag does not match\): "),
        (engine_bytes()[:40], r"\(Magic tag does not match\): .* edge-convert engine BUNDLE --force"),
        (engine_bytes(inputs=2), "the engine has 2 inputs and 1 outputs: expected one of each"),
        (engine_bytes(dtype="BOOL"), "tensor input0 is BOOL .*: expected fixed sizes and one of FLOAT, HALF"),
        (engine_bytes(-1), r"tensor input0 is FLOAT \(1, 3, -1, -1\)"),
    ],
)
def test_an_engine_that_does_not_fit_is_refused(content: bytes, message: str) -> None:
    cudart = FakeCudart()
    with pytest.raises(BackendError, match=message) as refused:
        backend(cudart, content)
    assert "\n" not in str(refused.value)
    assert cudart.is_clean


def test_an_engine_for_the_dla_goes_to_its_core() -> None:
    cudart = FakeCudart()
    trt = FakeTensorRT(cudart)
    TensorRTBackend(engine_bytes(), Cuda(cudart), trt, dla_core=1)
    assert trt.dla_cores == [1]


def test_ten_thousand_inferences_allocate_nothing() -> None:
    cudart = FakeCudart()
    opened = backend(cudart)
    gc.collect()
    before = len(cudart.memory), len(gc.get_objects())
    for _ in range(10_000):
        opened.infer()
    cudart.calls.clear()
    gc.collect()
    assert len(cudart.memory) == before[0]
    assert len(gc.get_objects()) < before[1] + 100


class TestFallback:
    """Cache, staleness and fallback, as a user meets them."""

    def test_without_an_engine_litert_runs_and_the_reason_is_kept(self, board: Board, bundle_of: BundleOf) -> None:
        opened = open_backend(bundle_of({"tflite": tflite_bytes(), "onnx": onnx_bytes()}), VARIANT)
        assert opened.backend.name == "litert"
        assert [(r.backend, r.reason) for r in opened.refusals] == [
            (
                "tensorrt",
                f"it has no engine for {board.platform} (for other systems: none): "
                "edge-convert engine BUNDLE builds it.",
            )
        ]

    def test_with_one_tensorrt_runs(self, board: Board, bundle_of: BundleOf) -> None:
        bundle = bundle_of({"tflite": tflite_bytes(), "onnx": onnx_bytes()})
        board.build(bundle)
        opened = open_backend(bundle, VARIANT)
        assert (opened.backend.name, opened.artifact.format, opened.refusals) == ("tensorrt", "onnx", ())

    @pytest.mark.parametrize("update", ["10.16.2", "36.5.0"])
    def test_after_an_update_litert_runs_until_the_engine_is_built_again(
        self, board: Board, bundle_of: BundleOf, update: str
    ) -> None:
        bundle = bundle_of({"tflite": tflite_bytes(), "onnx": onnx_bytes()})
        board.build(bundle)
        old = board.platform.slug
        if update.startswith("10"):
            board.trt.__version__ = update
        else:
            board.l4t = update
        opened = open_backend(bundle, VARIANT)
        assert opened.backend.name == "litert"
        assert f"(for other systems: {old})" in opened.refusals[0].reason
        board.build(bundle)
        assert open_backend(bundle, VARIANT).backend.name == "tensorrt"

    def test_a_damaged_engine_is_passed_over_aloud(self, board: Board, bundle_of: BundleOf) -> None:
        bundle = bundle_of({"onnx": onnx_bytes()})
        board.build(bundle)
        next(board.store.folder.glob("*.engine")).write_bytes(b"half")
        opened = open_backend(bundle, VARIANT)
        assert opened.backend.name == "onnxruntime"
        assert "is damaged or cut short (4 bytes)" in opened.refusals[0].reason

    def test_the_next_precision_runs_and_the_one_passed_over_is_told(self, board: Board, bundle_of: BundleOf) -> None:
        bundle = bundle_of({"tflite": tflite_bytes(), "onnx": onnx_bytes()})
        entry = bundle.variants[0]
        (bundle.root / "half.onnx").write_bytes(onnx_bytes())
        half = replace(entry.artifacts[1], file="half.onnx", precision="fp16", sha256="f" * 64)
        entries = (replace(entry, artifacts=(*entry.artifacts, half)),)
        bundle = replace(bundle, manifest=replace(bundle.manifest, variants=entries))
        board.build(bundle, precision="fp16")
        opened = open_backend(bundle, VARIANT)
        assert (opened.backend.name, opened.artifact.precision) == ("tensorrt", "fp16")
        assert [refusal.backend for refusal in opened.refusals] == ["tensorrt:int8"]
        assert opened.refusals[0].reason.startswith("it has no engine for ")
        assert open_backend(bundle, VARIANT, name="tensorrt:fp16").refusals == ()
        message = f"No backend could open {NAME}. tensorrt: it has no engine for "
        with pytest.raises(BackendError, match=message):
            open_backend(bundle, VARIANT, name="tensorrt:int8")

    def test_an_engine_of_another_network_is_refused(self, board: Board, bundle_of: BundleOf) -> None:
        bundle = bundle_of({"onnx": onnx_bytes()})
        board.build(bundle, engine_bytes(64))
        with pytest.raises(BackendError, match=r"maps \(1, 3, 64, 64\) to \(1, 3\): expected \(1, 3, 32, 32\) to "):
            open_backend(bundle, VARIANT, name="tensorrt")
        assert board.cudart.is_clean

    def test_a_profile_is_measured_anew_once_an_engine_is_there(
        self, board: Board, bundle_of: BundleOf, tmp_path: Path
    ) -> None:
        bundle, told = bundle_of({"tflite": tflite_bytes(), "onnx": onnx_bytes()}), list[str]()

        def ask() -> LatencyProfile:
            told.clear()
            stop = StopRule(least_rounds=1, most_s=0.1)
            return profile(bundle, stop=stop, threads=1, announce=told.append)

        first = ask()
        assert (first.backend, first.rows[0].cuda_graph) == ("litert", False)
        board.build(bundle)
        second = ask()
        assert told[0].endswith("because the profile was measured with litert, and tensorrt runs now")
        assert (second.backend, second.backend_version) == ("tensorrt", "TensorRT 10.3.0")
        assert (second.rows[0].includes_transfers, second.rows[0].cuda_graph) == (False, True)

    def test_the_classifier_runs_on_it(self, board: Board, bundle_of: BundleOf) -> None:
        bundle = bundle_of({"onnx": onnx_bytes()})
        board.build(bundle)
        with classify.Classifier(bundle, VARIANT, top_k=1) as classifier:
            blue = np.zeros((48, 64, 3), np.uint8)
            blue[..., 0] = 255
            assert classifier.backend.name == "tensorrt"
            assert classifier.classify(blue).best.class_id == 2, "the network is fed RGB"
        assert board.cudart.is_clean


def test_a_precision_can_be_named(board: Board, bundle_of: BundleOf) -> None:
    bundle = bundle_of({"onnx": onnx_bytes()})
    board.build(bundle)
    precision = bundle.find(VARIANT).artifacts[0].precision
    assert open_backend(bundle, VARIANT, name=f"tensorrt:{precision}").backend.name == "tensorrt"
    with pytest.raises(BackendError, match=rf"tensorrt: the bundle has no fp8 \.onnx file of {NAME}"):
        open_backend(bundle, VARIANT, name="tensorrt:fp8")


def test_a_machine_that_is_no_jetson_never_hears_of_it(monkeypatch: pytest.MonkeyPatch, bundle_of: BundleOf) -> None:
    monkeypatch.setattr(tensorrt, "is_expected", lambda: False)
    assert open_backend(bundle_of({"tflite": tflite_bytes()}), VARIANT).refusals == ()
    assert "tensorrt" not in [report.name for report in backend_reports()]


def test_a_missing_tensorrt_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hide(monkeypatch, "tensorrt")
    monkeypatch.setattr(tensorrt, "is_expected", lambda: True)
    with pytest.raises(BackendError) as refused:
        tensorrt.load(ModelFile(tmp_path / "m.onnx", VARIANT, 3), 1)
    for words in ("TensorRT cannot be imported", "python3-libnvinfer", "--system-site-packages"):
        assert words in str(refused.value)
    reports = {report.name: report for report in backend_reports()}
    assert not reports["tensorrt"].is_available
