"""Keep a latency budget while other processes take the CPUs for a while: with adaptation and without.

    python benchmarks/hold.py [--bundle demo] [--budget-ms MS] [--fps FPS]

The same stream is run twice: fixed to the variant that meets the budget on the calm machine, and with
``edge.AdaptiveClassifier``. Each run has three phases: calm, busy with one spinning process for every CPU, and calm
again. A frame is late when it takes longer than the budget. ``--json FILE`` keeps every frame.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edge.board.affinity import default_threads, usable_cpus
from edge.board.sampler import HealthSampler
from edge.budget import Budget
from edge.bundles.bundle import Bundle, open_bundle
from edge.bundles.variant import Variant
from edge.control.adaptive import AdaptiveClassifier
from edge.profiling.measure import QUICK, measure
from edge.profiling.profile import LatencyProfile
from edge.profiling.timing import timing_frames
from edge.selection import select

PHASES: Final = ("calm", "busy", "calm again")
_HOG: Final = "while True: pass"


@dataclass(frozen=True)
class Seen:
    """One frame and its answer."""

    phase: str
    at_s: float
    """Seconds since its phase began."""
    took_ms: float
    variant: Variant


@dataclass
class Run:
    """One run of the stream."""

    name: str
    budget_ms: float
    frames: list[Seen] = field(default_factory=list)
    dropped: int = 0
    changes: list[str] = field(default_factory=list)

    def late_percent(self, phase: str, after_s: float = 0.0) -> float:
        """Percentage of late frames of a phase, from ``after_s`` seconds after its beginning on."""
        chosen = [seen for seen in self.frames if seen.phase == phase and seen.at_s >= after_s]
        return 100 * sum(seen.took_ms > self.budget_ms for seen in chosen) / max(1, len(chosen))

    def top1(self, phase: str, bundle: Bundle) -> float | None:
        """Mean measured top-1 of the variants that answered in a phase, in percent; None if the bundle has none."""
        shares = {entry.variant: entry.artifacts[0].accuracy.top1 for entry in bundle.variants}
        values = [shares[seen.variant] for seen in self.frames if seen.phase == phase]
        return None if None in values else 100 * sum(value or 0 for value in values) / max(1, len(values))

    def most(self, phase: str) -> str:
        """The variant that gave most answers of a phase."""
        return Counter(seen.variant.name for seen in self.frames if seen.phase == phase).most_common(1)[0][0]


@contextlib.contextmanager
def hogs(count: int) -> Iterator[None]:
    """Spinning processes while a block runs."""
    started = [subprocess.Popen([sys.executable, "-c", _HOG]) for _ in range(count)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def stream(classifier: AdaptiveClassifier, run: Run, fps: float, seconds: Sequence[float], busy: int) -> None:
    """Classify the newest frame of a camera, phase by phase; frames that come during a call are dropped."""
    frames = timing_frames(8)
    for phase, length_s in zip(PHASES, seconds, strict=True):
        with hogs(busy if phase == "busy" else 0):
            start_s, number = time.perf_counter(), 0
            while (now_s := time.perf_counter() - start_s) < length_s:
                wait_s = number / fps - now_s
                if wait_s > 0:
                    time.sleep(wait_s)
                began_s = time.perf_counter() - start_s
                prediction = classifier.classify(frames[number % len(frames)])
                run.frames.append(Seen(phase, began_s, prediction.total_ms, classifier.variant))
                newest = max(number + 1, int((time.perf_counter() - start_s) * fps))
                run.dropped += newest - number - 1
                number = newest


def one_run(
    name: str, bundle: Bundle, profile: LatencyProfile, budget: Budget, options: argparse.Namespace, fps: float
) -> Run:
    """Run the stream, fixed or adapting."""
    run = Run(name, budget.latency_ms)
    with AdaptiveClassifier(bundle, profile, budget, backend=options.backend) as classifier:
        if name == "fixed":
            classifier.pin(classifier.variant)
        with HealthSampler(classifier.on_health, every_s=1.0):
            stream(classifier, run, fps, options.seconds, options.hogs or len(usable_cpus()))
        run.changes = [f"{cause} {count}" for cause, count in classifier.changes.items()]
        if classifier.last_change:
            print(f"  {name}: last change {classifier.last_change}")
    return run


def report(run: Run, bundle: Bundle) -> None:
    """Print one run, a line for each phase."""
    print(f"{run.name}: changes {', '.join(run.changes) or 'none'}; frames dropped {run.dropped}")
    for phase in PHASES:
        count = sum(seen.phase == phase for seen in run.frames)
        top1 = run.top1(phase, bundle)
        print(
            f"  {phase:10} {count:6} frames  late {run.late_percent(phase):5.1f} %, "
            f"after the first second {run.late_percent(phase, 1.0):5.1f} %  "
            f"mostly {run.most(phase)}" + ("" if top1 is None else f"  mean top-1 {top1:.1f} %")
        )


def main() -> None:
    """Read the command line, measure, run twice, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="demo")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--budget-ms", type=float, help="default: 1.3 times the p95 of the best variant")
    parser.add_argument("--fps", type=float, help="default: one frame every budget")
    parser.add_argument("--seconds", type=float, nargs=3, default=(5.0, 20.0, 20.0), metavar="S")
    parser.add_argument("--hogs", type=int, help="default: one for every CPU")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    bundle = open_bundle(options.bundle)
    profile = measure(bundle, backend=options.backend, threads=options.threads or default_threads(), stop=QUICK)
    best = select(bundle, profile, Budget(latency_ms=60_000)).chosen
    budget_ms = options.budget_ms or 1.3 * (best.latency_ms or 0)
    fps = options.fps or 1000 / budget_ms
    print(f"{bundle.name}, threads {profile.threads}, budget {budget_ms:.2f} ms, {fps:.0f} fps")
    runs = [one_run(n, bundle, profile, Budget(latency_ms=budget_ms), options, fps) for n in ("fixed", "adaptive")]
    for run in runs:
        report(run, bundle)
    if options.json:
        rows = {r.name: [[s.phase, s.at_s, s.took_ms, s.variant.name] for s in r.frames] for r in runs}
        options.json.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
