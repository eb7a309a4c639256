"""Engines of every ONNX file of a bundle, built on this CPU: what they take to build and what their weights weigh.

    python benchmarks/engines.py build BUNDLE [--gpu 8.6,8.9]
    python benchmarks/engines.py explain CHECKPOINT [--resolution 224]

TensorRT-RTX builds, which has TensorRT's builder and needs no GPU; running an engine does. ``weights`` is the
builder's own figure, from its log. ``explain`` lets one depthwise layer after the other work in int8 beside the
pointwise ones, and prints what that adds to the weights.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorrt_rtx as trt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from convert.export.tensorrt import build
from edge.bundles.bundle import open_bundle
from edge.inference.backends.tensorrt import new_log

if TYPE_CHECKING:
    from convert.quantization import SymmetricNetwork


@dataclass(frozen=True, slots=True)
class Weighed:
    """One engine."""

    seconds: float
    engine_mb: float
    weights_mb: float


def weigh(path: Path, resolution: int, precision: str, gpu: str) -> Weighed:
    """Build one engine and read the builder's log."""
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
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
