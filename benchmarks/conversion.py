"""What writing a bundle takes: wall and CPU seconds and memory, of several versions of this package, on a busy machine.

    python benchmarks/conversion.py PHOTOS LABELS CHECKPOINT... [--trees . OTHER_CLONE] [--neighbours 0 2 6]

Converts every checkpoint at every resolution, in a process of its own, by the code of each of ``--trees``, in turn;
beside so many spinning processes. CPU seconds tell what the work costs whoever else is on the machine.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.processes import Usage, neighbours, run_measured
from edge.bundles.variant import RESOLUTIONS


def convert(tree: Path, options: argparse.Namespace, scratch: Path) -> Usage:
    """Write a bundle with the code in ``tree``."""
    command = [sys.executable, "-m", "convert", "bundle", *(str(path.resolve()) for path in options.checkpoints)]
    command += ["--calibration", str(options.photos.resolve()), "--labels", str(options.labels.resolve())]
    command += ["--resolutions", options.resolutions, "--out", str(scratch / "bundle"), "--force"]
    command += ["--min-agreement", "0"]  # the time does not depend on how good the weights are
    log = scratch / "log.txt"
    used = run_measured(command, log, tree, {**os.environ, "PYTHONPATH": str(tree)})
    if used.exit_code:
        sys.exit(f"{tree}: {log.read_text(encoding='utf-8', errors='replace').strip().splitlines()[-1]}")
    return used


def main() -> None:
    """Read the command line and print a line for each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--resolutions", default=",".join(map(str, RESOLUTIONS)))
    parser.add_argument("--trees", type=Path, nargs="+", default=[ROOT], help="folders with this package's code")
    parser.add_argument("--neighbours", type=int, nargs="+", default=[0], help="processes that spin meanwhile")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for count in options.neighbours:
            for tree in options.trees:
                started = time.perf_counter()
                with neighbours(count):
                    used = convert(tree.resolve(), options, Path(scratch))
                wall = time.perf_counter() - started
                print(
                    f"{tree} beside {count} spinning: {wall:.0f} s, {used.cpu_seconds:.0f} CPU seconds, "
                    f"{used.peak_mb:.0f} MB",
                    flush=True,
                )


if __name__ == "__main__":
    main()
