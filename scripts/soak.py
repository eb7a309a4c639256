"""Lets the live loop run for a long time with browsers that come and go, and looks for what grows.

The demo clip stands for the camera, over and over at its own pace; browsers watch for a while and leave, and somebody
changes the budget and the variant all the time. Memory, threads and open files are looked at again and again.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

__all__ = ["Look", "growth", "main"]

ROOT: Final = Path(__file__).resolve().parents[1]
_WISHES: Final = (
    {"fps": 15},
    {"budget_ms": 1.0},
    {"variant": "0.25_128"},
    {"variant": "0.50_224"},
    {"variant": "auto"},
    {"fps": 60},
)
_FIRST_VISIT_S: Final = 60.0
_MEMORY_MB: Final = 3.0
_MEMORY_SHARE: Final = 0.02
"""Growth that is not one: allocators keep what they may need again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at the process."""

    at_s: float
    rss_mb: float
    threads: int
    files: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it, print what was seen, and return 1 if something grew."""
    options = _parser().parse_args(arguments)
    looks, answers = _soak(60 * options.minutes, options.every_s)
    print(f"{'min':>6} {'RSS MB':>8} {'threads':>8} {'files':>6}")
    for look in looks[:: max(1, len(looks) // 30)]:
        print(f"{look.at_s / 60:6.1f} {look.rss_mb:8.1f} {look.threads:8} {look.files:6}")
    found = growth(looks, options.allowed_mb)
    seconds = looks[-1].at_s
    print(f"{answers} answers in {seconds / 60:.1f} min; " + ("; ".join(found) or "nothing grew"))
    return 1 if found or not answers else 0


def growth(looks: Sequence[Look], allowed_mb: float = _MEMORY_MB) -> list[str]:
    """What grew from the second quarter of the looks to the last, in words; the first is for warming up."""
    quarter = max(1, len(looks) // 4)
    before, after = looks[quarter : 2 * quarter], looks[-quarter:]
    found = []
    old_mb, new_mb = (statistics.median(look.rss_mb for look in part) for part in (before, after))
    if new_mb - old_mb > max(allowed_mb, _MEMORY_SHARE * old_mb):
        found.append(f"memory grew from {old_mb:.1f} to {new_mb:.1f} MB")
    for name in ("threads", "files"):
        old, new = (max(getattr(look, name) for look in part) for part in (before, after))
        if new > old + 1:  # one browser more may just have been there
            found.append(f"{name} grew from {old} to {new}")
    return found


def _soak(duration_s: float, every_s: float) -> tuple[list[Look], int]:
    command = [sys.executable, "-m", "camera_demo", "demo", "http://127.0.0.1:0", "json:/dev/null", "--loop", "--pace"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        port = int(process.stderr.readline().rsplit(":", 1)[1])
        drain = threading.Thread(target=process.stderr.read, daemon=True)
        drain.start()
        stop = threading.Event()
        kinds = {kind: threading.Event() for kind in ("watch", "read", "ask")}
        visitors = [threading.Thread(target=_visit, args=(port, kind, stop, came)) for kind, came in kinds.items()]
        try:
            _await(port)
            for visitor in visitors:
                visitor.start()
            for came in kinds.values():
                came.wait(_FIRST_VISIT_S)
            return _look(process.pid, duration_s, every_s), _answers(port)
        finally:
            stop.set()
            process.terminate()
            for visitor in visitors:
                if visitor.ident is not None:
                    visitor.join()


def _look(pid: int, duration_s: float, every_s: float) -> list[Look]:
    process, start_s, looks = psutil.Process(pid), time.monotonic(), list[Look]()
    while (now_s := time.monotonic() - start_s) < duration_s:
        with process.oneshot():
            rss_mb = process.memory_info().rss / 1e6
            looks.append(Look(at_s=now_s, rss_mb=rss_mb, threads=process.num_threads(), files=process.num_fds()))
        time.sleep(every_s)
    return looks


def _visit(port: int, kind: str, stop: threading.Event, came: threading.Event) -> None:
    """One visitor after the other, until the end; the first is told."""
    wishes = itertools.cycle(_WISHES)
    while not stop.wait(0.5):
        with contextlib.suppress(OSError, http.client.HTTPException):
            if kind == "ask":
                _request(port, "PUT", "/api/control", json.dumps(next(wishes)))
                came.set()
                continue
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", {"watch": "/stream.mjpg", "read": "/api/events"}[kind])
            with connection.getresponse() as answer:
                answer.read(200_000 if kind == "watch" else 20_000)
            connection.close()
            came.set()


def _request(port: int, method: str, path: str, body: str | None = None) -> bytes:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request(method, path, body)
        return connection.getresponse().read()


def _answers(port: int) -> int:
    lines = _request(port, "GET", "/metrics").decode().splitlines()
    return next(int(float(line.split()[1])) for line in lines if line.startswith("camera_demo_answers_total "))


def _await(port: int) -> None:
    for _ in range(1200):
        with contextlib.suppress(OSError, http.client.HTTPException):
            if json.loads(_request(port, "GET", "/healthz"))["status"] == "ok":
                return
        time.sleep(0.1)
    raise TimeoutError("camera-demo gives no answers")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="test-soak", description=__doc__, epilog="Example: scripts/test-soak")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long; default: 30")
    parser.add_argument("--every-s", type=float, default=5.0, help="seconds between two looks; default: 5")
    parser.add_argument(
        "--allowed-mb", type=float, default=_MEMORY_MB, help=f"growth that is none; default: {_MEMORY_MB:g}"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
