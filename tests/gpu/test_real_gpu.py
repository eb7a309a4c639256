"""What only a GPU can show: engines that run, agree, are fast and leak nothing. ``scripts/test-gpu`` runs these.

Where there is no GPU with TensorRT everything here is skipped, and nothing of it has been shown.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest

from convert.errors import ConversionError
from convert.export.tensorrt import build_engines, make_engine
from edge.bundles.bundle import Bundle, open_bundle
from edge.bundles.variant import Variant
from edge.errors import BackendError
from edge.inference.backends import ModelFile, tensorrt
from edge.inference.backends.tensorrt import TensorRTBackend, current_platform, runtime
from edge.inference.classifier import Classifier
from edge.inference.cuda import load_cuda
from edge.inference.engine_cache import EngineStore, Platform, Source
from edge.inference.selftest import self_test
from tests.conftest import draw

PRECISIONS = {"fp32": 0.01, "fp16": 0.03, "int8": 0.10, "int8_full": 0.10}
"""How far a probability may be from ONNX Runtime's for the same file: other kernels round in another order."""


@pytest.fixture(scope="module")
def platform() -> Platform:
    try:
        return current_platform(runtime(), load_cuda())
    except BackendError as reason:
        pytest.skip(f"not run, no GPU with TensorRT here: {reason}")


@pytest.fixture(scope="module")
def bundle(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle that is named, else a small one of random weights."""
    if place := os.environ.get("MNE_GPU_BUNDLE"):
        return open_bundle(place)
    pytest.importorskip("torch", reason="name a bundle with ONNX files, or install torch to make one")
    import cv2

    from convert.checkpoints import load_checkpoint, save_checkpoint
    from convert.data.calibration_data import load_calibration_data
    from convert.model import ModelConfig
    from convert.pipeline.bundle import BundlePlan, build_bundle
    from tests.convert.conftest import CLASSES, LABELS, lively

    folder = tmp_path_factory.mktemp("gpu")
    (folder / "pictures").mkdir()
    for seed in range(24):
        cv2.imwrite(str(folder / f"pictures/{chr(97 + seed)}.png"), draw(seed))
    save_checkpoint(lively(ModelConfig(alpha=0.25, classes=CLASSES)), folder / "tiny.safetensors")
    plan = BundlePlan(
        name="tiny",
        checkpoints=(load_checkpoint(folder / "tiny.safetensors"),),
        resolutions=(224, 128),
        labels=LABELS,
        targets=("tflite", "onnx", "onnx-int8_full"),
        min_agreement=0.0,
    )
    data = load_calibration_data(folder / "pictures", plan.resolutions, labels=LABELS, classes=CLASSES)
    build_bundle(plan, data, folder / "bundle")
    return open_bundle(folder / "bundle")


@pytest.fixture(autouse=True, scope="module")
def store(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineStore]:
    """An empty store in place of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield EngineStore()


def variant_of(bundle: Bundle) -> Variant:
    return bundle.variants[0].variant


def source_of(bundle: Bundle, precision: str) -> Source:
    artifact = bundle.find(variant_of(bundle)).artifact("onnx", precision)
    if artifact is None:
        pytest.skip(f"the bundle has no {precision} ONNX file")
    return Source(path=bundle.path(artifact.file), sha256=artifact.sha256)


def engine_of(bundle: Bundle, precision: str, platform: Platform, store: EngineStore) -> Path:
    try:
        made = make_engine(source_of(bundle, precision), variant_of(bundle), precision, platform, store=store)
    except ConversionError as reason:
        if "no int8 arithmetic" in str(reason):
            pytest.skip(str(reason))
        raise
    return made.engine.path


def loaded(bundle: Bundle, precision: str, platform: Platform, store: EngineStore, graph: bool) -> TensorRTBackend:
    content = engine_of(bundle, precision, platform, store).read_bytes()
    return TensorRTBackend(content, load_cuda(), runtime(), graph=graph)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_it_agrees_with_onnx_runtime(bundle: Bundle, precision: str, platform: Platform, store: EngineStore) -> None:
    engine_of(bundle, precision, platform, store)
    frames = [draw(100 + seed, (240, 320)) for seed in range(32)]
    answers = []
    for backend in ("tensorrt", "onnxruntime"):
        with Classifier(bundle, variant_of(bundle), backend=f"{backend}:{precision}", top_k=10**6) as classifier:
            assert classifier.backend.name == backend
            rows = [{g.class_id: g.probability for g in classifier.classify(frame).guesses} for frame in frames]
            answers.append(np.array([[row[c] for c in sorted(row)] for row in rows]))
    found, expected = answers
    assert np.abs(found - expected).max() < PRECISIONS[precision]
    assert (found.argmax(1) == expected.argmax(1)).mean() > 0.9


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_graph_gives_the_same_answers_and_both_are_timed(
    bundle: Bundle, precision: str, platform: Platform, store: EngineStore, capfd: pytest.CaptureFixture[str]
) -> None:
    outputs = []
    for graph in (True, False):
        with closing(loaded(bundle, precision, platform, store, graph)) as backend:
            if graph:
                assert backend.conditions.cuda_graph, "the work of these engines can be recorded"
            backend.input()[:] = np.random.default_rng(0).normal(0, 0.5, backend.input_spec.shape)
            times_ms = []
            for _ in range(500):
                start = time.perf_counter()
                backend.infer()
                times_ms.append(1e3 * (time.perf_counter() - start))
            outputs.append(backend.infer().copy())
            p50, p95 = np.percentile(times_ms[100:], [50, 95])
            with capfd.disabled():
                sys.stdout.write(
                    f"\n{variant_of(bundle).name} {precision} on {platform}: graph {graph}, "
                    f"transfers {backend.conditions.includes_transfers}, p50 {p50:.3f} ms, p95 {p95:.3f} ms\n"
                )
    assert np.abs(outputs[0] - outputs[1]).max() < 1e-3


@pytest.mark.parametrize("graph", [True, False])
def test_ten_thousand_inferences_take_no_more_memory(
    bundle: Bundle, platform: Platform, store: EngineStore, graph: bool
) -> None:
    with closing(loaded(bundle, "fp16", platform, store, graph)) as backend:
        for _ in range(100):
            backend.infer()
        process, cuda = psutil.Process(), load_cuda()
        before_mb = process.memory_info().rss / 1e6, cuda.free_mb
        for _ in range(10_000):
            backend.infer()
        assert process.memory_info().rss / 1e6 - before_mb[0] < 8
        if not cuda.is_integrated:  # else everybody's memory is the GPU's
            assert before_mb[1] - cuda.free_mb < 8


def test_opening_and_closing_takes_no_more_memory(bundle: Bundle, platform: Platform, store: EngineStore) -> None:
    loaded(bundle, "fp16", platform, store, True).close()
    before_mb = load_cuda().free_mb
    for _ in range(20):
        loaded(bundle, "fp16", platform, store, True).close()
    assert before_mb - load_cuda().free_mb < 32


def test_what_the_command_keeps_gives_the_golden_answers(
    bundle: Bundle, platform: Platform, capfd: pytest.CaptureFixture[str]
) -> None:
    """int8 or, where this TensorRT gets int8 wrong on this GPU, fp16: never a wrong engine."""
    name = variant_of(bundle).name
    (made,) = build_engines(bundle, variants=[name]).made
    precision = made.source.name.removeprefix(f"{name}_")
    with Classifier(bundle, variant_of(bundle), backend=f"tensorrt:{precision}") as classifier:
        assert self_test(bundle, classifier)
    with capfd.disabled():
        sys.stdout.write(f"\n{made.source.name} is kept\n")


def test_an_engine_cut_short_is_one_clear_error(bundle: Bundle, platform: Platform, store: EngineStore) -> None:
    content = engine_of(bundle, "fp16", platform, store).read_bytes()
    with pytest.raises(BackendError, match="cannot load the engine"):
        TensorRTBackend(content[: len(content) // 2], load_cuda(), runtime())


def test_a_bundle_s_file_is_loaded_from_the_store(bundle: Bundle, platform: Platform, store: EngineStore) -> None:
    engine_of(bundle, "fp16", platform, store)
    source, variant = source_of(bundle, "fp16"), variant_of(bundle)
    with closing(tensorrt.load(ModelFile(source.path, variant, len(bundle.labels), source.sha256), 1)) as backend:
        assert backend.output_spec.shape == (1, len(bundle.labels))
