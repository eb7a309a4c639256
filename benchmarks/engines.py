"""Engines of each ONNX file of a bundle: what they take to build, what their weights weigh, how fast and true they are.

    python benchmarks/engines.py build BUNDLE [--gpu 8.6,8.9]
    python benchmarks/engines.py explain CHECKPOINT [--resolution 224]
    python benchmarks/engines.py run BUNDLE PICTURES [--module tensorrt_rtx]

``build`` and ``explain`` need no GPU: TensorRT-RTX builds, which has TensorRT's builder. ``weights`` is the builder's
own figure, from its log. ``explain`` lets one depthwise layer after the other work in int8 beside the pointwise ones,
and prints what that adds to the weights. ``run`` needs a GPU: it builds with TensorRT, runs every engine on those
pictures that ``edge-convert bundle --calibration PICTURES`` does not calibrate on, and compares with ONNX Runtime on
the CPU, which runs the same file and the fp32 one.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from convert.data.image_sets import find_pictures, split
from convert.export.tensorrt import build, make_engine
from edge.bundles.bundle import Bundle, open_bundle
from edge.bundles.manifest import Artifact
from edge.bundles.variant import Variant
from edge.inference.backends.tensorrt import TensorRTBackend, current_platform, new_log
from edge.inference.classifier import Classifier
from edge.inference.cuda import load_cuda
from edge.inference.engine_cache import EngineStore, Source
from edge.vision.images import read_image
from edge.vision.preprocess import Frame

if TYPE_CHECKING:
    from convert.quantization import SymmetricNetwork

_WARM, _TIMED = 200, 2000
"""Inferences before, and during, the measuring of one engine."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """One engine."""

    seconds: float
    engine_mb: float
    weights_mb: float


def weigh(path: Path, resolution: int, precision: str, gpu: str) -> Weighed:
    """Build one engine and read the builder's log."""
    trt = importlib.import_module("tensorrt_rtx")
    lines: list[str] = []
    start = time.perf_counter()
    built = build(
        trt, path, resolution=resolution, precision=precision, compute_capability=gpu, log=new_log(trt, lines.append)
    )
    seconds = time.perf_counter() - start
    found = [match for line in lines if (match := re.search(r"Total Weights Memory: (\d+) bytes", line))]
    return Weighed(seconds, len(built.content) / 1e6, int(found[0][1]) / 1e6)


def build_all(options: argparse.Namespace) -> None:
    """Print one line an ONNX file and GPU."""
    bundle = open_bundle(options.bundle)
    print("| variant | precision | GPU | build s | engine MB | weights MB | ONNX MB |\n|---|---|---|--:|--:|--:|--:|")
    for entry in bundle.variants:
        for artifact in entry.artifacts:
            for gpu in options.gpu.split(",") if artifact.format == "onnx" else ():
                made = weigh(bundle.path(artifact.file), entry.variant.resolution, artifact.precision, gpu)
                figures = (made.seconds, made.engine_mb, made.weights_mb, artifact.size_bytes / 1e6)
                row = " | ".join(f"{figure:.2f}" for figure in figures)
                print(f"| {entry.variant.name} | {artifact.precision} | {gpu} | {row} |", flush=True)


def explain(options: argparse.Namespace) -> None:
    """Print what each depthwise layer adds to the weights once it works in int8."""
    from convert.checkpoints import load_checkpoint
    from convert.quantization import fold, quantize, symmetrize
    from edge.vision.preprocess import Preprocessing

    network, side = fold(load_checkpoint(options.checkpoint).model), options.resolution
    pixels = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    full = symmetrize(network, quantize(network, pixels, Preprocessing()), pixels, "full")
    none = weight_of(full, ())
    print(f"no depthwise layer in int8: {none:.2f} MB; every one: {weight_of(full, range(len(full.layers))):.2f} MB")
    print("| in int8 too | its input | adds MB | bytes per element of the input |\n|---|---|--:|--:|")
    side //= 2
    for index, layer in enumerate(full.layers):
        if layer.kind == "depthwise":
            elements = len(layer.weight) * side * side
            added = weight_of(full, (index,)) - none
            print(f"| {layer.name} | {len(layer.weight)}x{side}x{side} | {added:.3f} | {1e6 * added / elements:.2f} |")
            side //= layer.stride


def weight_of(full: SymmetricNetwork, kept: Any) -> float:
    """Weights in MB of the engine with these depthwise layers in int8, and the others in float."""
    from convert.export.onnx import to_qdq

    layers = [
        layer if layer.kind != "depthwise" or index in kept else in_float(layer)
        for index, layer in enumerate(full.layers)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(to_qdq(replace(full, form="mixed", layers=tuple(layers))))
        return weigh(path, full.variant.resolution, "int8_full", "8.6").weights_mb


def in_float(layer: Any) -> Any:
    """The layer with its weights as the reals they stand for."""
    real = (layer.weight * layer.weight_scales[:, None, None, None]).astype(np.float32)
    return replace(layer, weight=real, weight_scales=None, input_scale=None)


def run_all(options: argparse.Namespace) -> None:
    """Print one line an ONNX file: its engine on this GPU."""
    bundle = open_bundle(options.bundle)
    frames = [read_image(path) for path in split(find_pictures(options.pictures))[1]]
    trt, cuda = importlib.import_module(options.module), load_cuda()
    platform = current_platform(trt, cuda)
    print(f"{len(frames)} pictures; {platform}; latency of one picture, {_TIMED} times, with transfers")
    print("| variant | precision | build s | engine MB | graph p50 ms | p95 | no graph p50 | p95 | ", end="")
    print("as float % | as ONNX Runtime % | farthest |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        for entry in bundle.variants:
            real = answers(bundle, entry.variant, "fp32", frames)
            for artifact in entry.artifacts:
                if artifact.format == "onnx":
                    start = time.perf_counter()
                    engine = engine_of(bundle, entry.variant, artifact, platform, options.module)
                    seconds = time.perf_counter() - start
                    times = [timed(engine, trt, graph=graph) for graph in (True, False)]
                    found = on_gpu(bundle, entry.variant, engine, trt, frames)
                    same = answers(bundle, entry.variant, artifact.precision, frames)
                    row = [
                        f"{seconds:.1f}",
                        f"{len(engine) / 1e6:.2f}",
                        *(f"{ms:.3f}" for pair in times for ms in pair),
                    ]
                    row += [f"{agreement(found, real):.1f}", f"{agreement(found, same):.1f}"]
                    row.append(f"{np.abs(found - same).max():.4f}")
                    print(f"| {entry.variant.name} | {artifact.precision} | {' | '.join(row)} |", flush=True)


def engine_of(bundle: Bundle, variant: Variant, artifact: Artifact, platform: Any, module: str) -> bytes:
    """Build an engine as ``edge-convert engine`` does."""
    source = Source(path=bundle.path(artifact.file), sha256=artifact.sha256)
    store, precision = EngineStore(), artifact.precision
    return make_engine(source, variant, precision, platform, store=store, module=module).engine.path.read_bytes()


def timed(engine: bytes, trt: Any, *, graph: bool) -> tuple[float, float]:
    """Median and 95th percentile of an inference, in ms."""
    with closing(TensorRTBackend(engine, load_cuda(), trt, graph=graph)) as backend:
        backend.input()[:] = np.random.default_rng(0).normal(0, 0.5, backend.input_spec.shape)
        times_ms = []
        for _ in range(_WARM + _TIMED):
            start = time.perf_counter()
            backend.infer()
            times_ms.append(1e3 * (time.perf_counter() - start))
        p50, p95 = np.percentile(times_ms[_WARM:], [50, 95])
        return float(p50), float(p95)


def on_gpu(bundle: Bundle, variant: Variant, engine: bytes, trt: Any, frames: list[Frame]) -> NDArray[np.float32]:
    """Probabilities that an engine gives, a row a picture."""
    backend = TensorRTBackend(engine, load_cuda(), trt)
    with Classifier.of_backend(backend, bundle.labels, bundle.manifest.preprocessing, variant=variant) as classifier:
        return np.stack([classifier.probabilities(frame).copy() for frame in frames])


def answers(bundle: Bundle, variant: Variant, precision: str, frames: list[Frame]) -> NDArray[np.float32]:
    """Probabilities of an ONNX file in ONNX Runtime, a row a picture."""
    with Classifier(bundle, variant, backend=f"onnxruntime:{precision}") as classifier:
        return np.stack([classifier.probabilities(frame).copy() for frame in frames])


def agreement(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Share of the pictures whose best class is the same, in %."""
    return 100 * float((found.argmax(1) == expected.argmax(1)).mean())


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    building = commands.add_parser("build")
    building.add_argument("bundle")
    building.add_argument("--gpu", default="8.6,8.9", help="compute capabilities")
    building.set_defaults(run=build_all)
    explaining = commands.add_parser("explain")
    explaining.add_argument("checkpoint", type=Path)
    explaining.add_argument("--resolution", type=int, default=224)
    explaining.set_defaults(run=explain)
    running = commands.add_parser("run")
    running.add_argument("bundle")
    running.add_argument("pictures", type=Path)
    running.add_argument("--module", default="tensorrt", help="what builds and runs: tensorrt, or tensorrt_rtx")
    running.set_defaults(run=run_all)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
