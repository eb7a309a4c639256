"""How long it takes from a command to its first answer, beside loading the libraries that it needs, and what for.

    python benchmarks/startup.py time [--rounds N]
    python benchmarks/startup.py arm --icount ICOUNT_SH --root ARM64_ROOT

``time`` starts each in turn, so that all of them meet the same machine. ``arm`` counts instructions on an emulated
Raspberry Pi 4 core, once Python itself has started, with the package's modules compiled before as pip leaves them:
``edge classify`` for the answer, because only one thread is counted.
"""

from __future__ import annotations

import argparse
import compileall
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

VARIANT: Final = "0.25_128"
PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "numpy and cv2": ("numpy", "cv2"),
    "those and LiteRT": ("numpy", "cv2", "ai_edge_litert.interpreter"),
    "typer and rich": ("typer", "rich.table", "rich.progress"),
    "camera-demo's modules": ("camera_demo.cli", "camera_demo.session"),
}


def picture() -> str:
    """A golden picture of the demo bundle."""
    return str(next((ROOT / "edge/bundles/demo/golden").iterdir()))


def classify() -> list[str]:
    """The arguments of ``edge classify``."""
    return ["classify", picture(), "--variant", VARIANT, "--threads", "1", "--json"]


def first_line_s(command: Sequence[str]) -> float:
    """Seconds until a command has printed its first line."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline(), f"{' '.join(command)} printed nothing"
        seconds = time.perf_counter() - start
        process.kill()
    return seconds


def time_all(rounds: int) -> None:
    """Start everything in turn, and print medians and what they are beside the libraries alone."""
    commands = {name: [sys.executable, "-c", f"import {', '.join(m)}; print(1)"] for name, m in PARTS.items()}
    live = ["-m", "camera_demo", "demo", "json:-", "--variant", VARIANT, "--max-frames", "3"]
    commands["edge classify: answer"] = [sys.executable, "-m", "edge", *classify()]
    commands["camera-demo: first answer"] = [sys.executable, *live]
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            taken = first_line_s(command)
            if turn:  # the first round brings the files into memory
                seconds[name].append(taken)
    libraries = statistics.median(seconds["those and LiteRT"])
    for name, taken_s in seconds.items():
        median = statistics.median(taken_s)
        print(f"{name:26} {1e3 * median:6.0f} ms  {median / libraries:5.2f} times the libraries alone")


def count(what: str) -> None:
    """Do one thing between two marks, as the instruction counter wants it."""
    from benchmarks.instructions import mark

    print(json.dumps([what]), file=sys.stderr)
    mark()
    if what in PARTS:
        for module in PARTS[what]:
            import_module(module)
    else:
        from edge.cli.app import main as edge

        sys.argv = ["edge", *classify()]
        with suppress(SystemExit):
            edge()
    mark()


def arm(icount: Path, root: Path) -> None:
    """Count everything on a Raspberry Pi 4 core and print millions of instructions."""
    from benchmarks.instructions import millions

    for package in ("edge", "camera_demo"):
        compileall.compile_dir(ROOT / package, quiet=2)
    packages = next((root / "opt/v/lib").glob("python3.*/site-packages"))
    for what in (*PARTS, "edge classify: answer"):
        [figure] = millions(icount, root, packages, "pi4", Path(__file__), "count", what).values()
        print(f"{what:26} {figure:7.0f} M instructions")


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("time", "arm", "count"))
    parser.add_argument("what", nargs="?", help="of count")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--icount", type=Path, help="the instruction counter's script")
    parser.add_argument("--root", type=Path, help="an arm64 root with a venv at /opt/v")
    options = parser.parse_args()
    if options.command == "time":
        time_all(options.rounds)
    elif options.command == "count":
        count(options.what)
    elif options.icount is None or options.root is None:
        parser.error("arm needs --icount and --root")
    else:
        arm(options.icount, options.root)


if __name__ == "__main__":
    main()
