"""``scripts/fuzz models`` and ``scripts/fuzz bundles``: many cases, a table of how they ended, and what is at fault."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Final

from scripts.fuzzing.forks import Outcome, each_in_a_process

__all__ = ["fuzz", "main"]

KINDS: Final = ("models", "bundles")
_ENVIRONMENT: Final = {"MALLOC_PERTURB_": "165", "MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1"}
"""As :mod:`edge.inference.inspection` runs its child; read by the C library when a process begins."""
_MOST_MB: Final = 200.0
_SHOWN: Final = 40


def fuzz(kind: str, cases: Sequence[int], *, seed: int, workers: int) -> list[Outcome]:
    """Judge cases of a kind, each in a process of its own."""
    module, outcomes = import_module(f"scripts.fuzzing.{kind}"), []
    if Path("/dev/shm").is_dir():
        tempfile.tempdir = "/dev/shm"  # a disk would wait for each file
    with module.prepared():
        for outcome in each_in_a_process(partial(module.judge, seed), cases, workers=workers):
            outcomes.append(outcome)
            if len(outcomes) % 1000 == 0:
                print(f"{len(outcomes)} cases", file=sys.stderr, flush=True)
    return outcomes


def faults(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those that must not be. What ends a model's trial is none: that has a process of its own in the package too."""
    return [
        outcome
        for outcome in outcomes
        if outcome.verdict == "fault"
        or (outcome.verdict == "killed" and outcome.stage != "trial")
        or (outcome.stage != "trial" and outcome.peak_mb > _MOST_MB)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 when something is at fault."""
    parser = argparse.ArgumentParser(description=__doc__, prog="scripts/fuzz")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", type=Path, help="a folder for the model files that are at fault")
    options = parser.parse_args(arguments)
    started_s = time.monotonic()
    cases = range(options.first, options.first + options.cases)
    outcomes = fuzz(options.kind, cases, seed=options.seed, workers=options.workers)
    counts = Counter((outcome.verdict, outcome.stage) for outcome in outcomes)
    for (verdict, stage), count in sorted(counts.items(), key=lambda item: -item[1]):
        same = [outcome for outcome in outcomes if (outcome.verdict, outcome.stage) == (verdict, stage)]
        longest_s, peak_mb = max(o.seconds for o in same), max(o.peak_mb for o in same)
        print(f"{count:6} {verdict} at {stage}: at most {longest_s:.1f} s, {peak_mb:.0f} MB above an idle process")
    killed = Counter(outcome.message for outcome in outcomes if outcome.verdict == "killed")
    took_s = time.monotonic() - started_s
    print(f"{len(outcomes)} cases of {options.kind}, seed {options.seed}, in {took_s:.0f} s; ended: {dict(killed)}")
    found = faults(outcomes)
    for outcome in found[:_SHOWN]:
        what = f"{outcome.verdict} at {outcome.stage}, {outcome.peak_mb:.0f} MB"
        print(f"FAULT case {outcome.case}, {what}: {outcome.message}")
        if options.keep and options.kind == "models":
            from scripts.fuzzing.model_changes import model_file

            options.keep.mkdir(parents=True, exist_ok=True)
            (options.keep / f"{outcome.case}.tflite").write_bytes(model_file(options.seed, outcome.case))
    print(f"{len(found)} at fault")
    return 1 if found else 0


if __name__ == "__main__":
    if os.environ.keys().isdisjoint({"MALLOC_PERTURB_"}):
        os.execve(sys.executable, [sys.executable, "-m", "scripts.fuzzing", *sys.argv[1:]], os.environ | _ENVIRONMENT)
    sys.exit(main())
