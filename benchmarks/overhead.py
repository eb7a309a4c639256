"""What one ``Classifier`` call on a 640x480 frame costs beside the bare ``invoke()`` of the same file.

    python benchmarks/overhead.py prepare DIR     write the two models (random weights; needs torch)
    python benchmarks/overhead.py time DIR        time both calls in turn on this machine
    python benchmarks/overhead.py arm DIR --icount ICOUNT_SH --root ARM64_ROOT
                                                  count the instructions of an emulated Pi 4 and Pi 5 core
    python benchmarks/overhead.py record DIR      time what the health record adds to an answer (writes it to DIR)

The models are α = 1 at 224 and α = 0.25 at 128, int8, one thread: the largest and the smallest of the family.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from edge.vision.preprocess import Resize

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

VARIANTS: Final = ("1.0_224", "0.25_128")
RESIZES: Final[tuple[Resize, ...]] = ("bilinear", "halving", "area")


def prepare(folder: Path) -> None:
    """Write a bundle for each variant."""
    from benchmarks.family import write_family
    from edge.bundles.variant import Variant

    for name in VARIANTS:
        variant = Variant.parse(name)
        write_family(folder / name, (variant.alpha,), (variant.resolution,))


def calls(folder: Path, name: str) -> tuple[Callable[[], object], Callable[[], object], Callable[[], object]]:
    """The bare ``invoke`` of a variant's file, a classifier's call on a frame, and the writing of the next frame."""
    from edge.bundles.bundle import open_bundle
    from edge.bundles.variant import Variant
    from edge.inference.classifier import Classifier
    from edge.profiling.timing import timing_frames

    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        from tflite_runtime.interpreter import Interpreter
    bundle, variant = open_bundle(folder / name), Variant.parse(name)
    artifact = bundle.find(variant).artifacts[0]
    interpreter: Any = Interpreter(model_path=str(bundle.path(artifact.file)), num_threads=1)
    interpreter.allocate_tensors()
    classifier = Classifier(bundle, variant, backend="litert", threads=1)
    frame = timing_frames(1)[0]
    return interpreter.invoke, lambda: classifier.classify(frame), lambda: np.bitwise_xor(frame, 1, out=frame)


def time_both(folder: Path, rounds: int) -> None:
    """Print each variant's median times, and the median of the ratios of neighbouring runs.

    The frame is written again before each call, as by a camera's decoder: what is timed begins with a new frame.
    """
    for name in VARIANTS:
        bare, whole, capture = calls(folder, name)
        for _ in range(10):
            bare(), whole()
        pairs = [(_elapsed_ms(bare), _elapsed_ms(whole, after=capture)) for _ in range(rounds)]
        bare_ms, whole_ms = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(b / a for a, b in pairs)
        print(f"{name:10} invoke {bare_ms:7.3f} ms  classify {whole_ms:7.3f} ms  ratio {ratio:.3f}  ({rounds} pairs)")


def _elapsed_ms(call: Callable[[], object], after: Callable[[], object] = lambda: None) -> float:
    after()
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def count(folder: Path) -> None:
    """Run every call between marks of the instruction counter; the labels go to stdout in the order of the marks."""
    from benchmarks.instructions import count_calls
    from edge.bundles.variant import Variant
    from edge.profiling.timing import timing_frames
    from edge.vision.preprocess import Preprocessing, Preprocessor
    from edge.vision.tensor import TensorSpec

    labels = list[str]()
    frame = timing_frames(1)[0]
    for name in VARIANTS:
        side = Variant.parse(name).resolution
        work = dict(zip(("invoke", "classify"), calls(folder, name)[:2], strict=True))
        for resize in RESIZES:
            spec = TensorSpec(shape=(1, side, side, 3), dtype="int8", scale=1 / 127.5, zero_point=-1)
            tensor = np.empty(spec.shape, np.int8)
            preprocessor = Preprocessor(Preprocessing(resize=resize), spec)
            work[f"preprocess {resize}"] = functools.partial(preprocessor, frame, tensor)
        labels += [f"{name} {label}" for label in count_calls(work)]
    print(json.dumps(labels), file=sys.stderr)


def arm(folder: Path, icount: Path, root: Path) -> None:
    """Count on both cores and print a table of millions of instructions."""
    from benchmarks.instructions import millions

    packages = next((root / "opt/v/lib").glob("python3.*/site-packages"))
    for board in ("pi4", "pi5"):
        counts = millions(icount, root, packages, board, Path(__file__), "count", str(folder.resolve()))
        for label, figure in counts.items():
            name, _, what = label.partition(" ")
            ratio = f"  ratio {figure / counts[f'{name} invoke']:.3f}" if what == "classify" else ""
            print(f"{board}  {name:10} {what:20} {figure:8.2f} M{ratio}")


def record(folder: Path, rounds: int) -> None:
    """Print what counting an answer for the health record takes, beside one of the demo bundle's fastest variant."""
    from camera_demo.health_recorder import HealthRecorder
    from camera_demo.live import answers
    from camera_demo.source_status import SourceStatus
    from edge.bundles.bundle import open_bundle

    bundle = open_bundle("demo")
    fastest = bundle.variants[-1].variant
    with answers("synthetic:640x480@100", variant=fastest.name, threads=1) as live:
        results = [next(live) for _ in range(50)]
    recorder = HealthRecorder(folder / "health.jsonl", "benchmark", SourceStatus("benchmark"))
    recorder.begin(bundle)
    recorder.uses(bundle, None)
    counted_ms = [_elapsed_ms(functools.partial(recorder.add, result)) for _ in range(rounds) for result in results]
    whole_ms = statistics.median(result.prediction.total_ms for result in results)
    added_ms = statistics.median(counted_ms)
    line_ms = _elapsed_ms(recorder.close)
    print(f"{fastest.name} {whole_ms:.3f} ms, counting it {1e3 * added_ms:.2f} us ({added_ms / whole_ms:.2%})")
    print(f"the line of a minute with {len(counted_ms)} answers {line_ms:.2f} ms, on another thread")


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("prepare", "time", "count", "arm", "record"))
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--icount", type=Path, help="the instruction counter's script")
    parser.add_argument("--root", type=Path, help="an arm64 root with a venv at /opt/v")
    options = parser.parse_args()
    if options.command == "prepare":
        prepare(options.folder)
    elif options.command == "time":
        time_both(options.folder, options.rounds)
    elif options.command == "record":
        record(options.folder, options.rounds)
    elif options.command == "count":
        count(options.folder)
    else:
        if options.icount is None or options.root is None:
            parser.error("arm needs --icount and --root")
        arm(options.folder, options.icount, options.root)


if __name__ == "__main__":
    main()
