"""Hold ``edge profile``'s inference times against LiteRT's own ``litert-benchmark``, on the same files and threads.

    python benchmarks/agreement.py [--bundle demo] [--threads 1] [--rounds 5]

The two take turns: one process of LiteRT's tool for a file, then as many inferences of ours of the same file, round
after round, so that what disturbs falls on both alike. Compared are the medians over all rounds, and their ratio.
LiteRT's tool ships in the wheel of ai-edge-litert and runs the model through its ``CompiledModel``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edge.board.affinity import default_threads
from edge.bundles.bundle import Bundle, open_bundle
from edge.bundles.variant import Variant
from edge.inference.classifier import Classifier
from edge.profiling.timing import timing_frames, warm_up

_RUNS = 50


def theirs_ms(tool: str, model: Path, threads: int) -> float:
    """The median of one run of LiteRT's tool."""
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / "result.json"
        options = {"--model": model, "--num_threads": threads, "--num_runs": _RUNS, "--result_json": result}
        command = [tool, *(str(part) for pair in options.items() for part in pair)]
        subprocess.run(command, check=True, capture_output=True)
        values: dict[str, Any] = json.loads(result.read_text())
    latency: dict[str, float] = values.get("latency", values)
    return latency["median_ms"]


def ours_ms(bundle: Bundle, variant: Variant, threads: int) -> float:
    """The median of as many inferences within a classifier's call, as ``edge profile`` takes it."""
    frames = timing_frames()
    with Classifier(bundle, variant, backend="litert", threads=threads) as classifier:
        warm_up(lambda: classifier.classify(frames[0]))
        return statistics.median(classifier.classify(frames[n % len(frames)]).infer_ms for n in range(_RUNS))


def main() -> None:
    """Read the command line and print a line for each variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="demo")
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    tool = shutil.which("litert-benchmark", path=str(Path(sys.executable).parent)) or shutil.which("litert-benchmark")
    if tool is None:
        parser.error("there is no litert-benchmark: pip install ai-edge-litert")
    bundle = open_bundle(options.bundle)
    print(f"threads {options.threads}, {options.rounds} rounds of {_RUNS} runs, median ms")
    pairs: dict[Variant, list[tuple[float, float]]] = {entry.variant: [] for entry in bundle.variants}
    for _ in range(options.rounds):
        for variant, found in pairs.items():
            artifact = bundle.find(variant).artifact("tflite")
            if artifact is not None:
                theirs = theirs_ms(tool, bundle.path(artifact.file), options.threads)
                found.append((theirs, ours_ms(bundle, variant, options.threads)))
    for variant, found in pairs.items():
        theirs, ours = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"{variant.name}  litert-benchmark {theirs:7.3f}  edge profile {ours:7.3f}  ratio {ours / theirs:.3f}")


if __name__ == "__main__":
    main()
