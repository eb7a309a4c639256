"""What browsers cost the live loop: its frames a second with nobody watching, and with twenty that read slowly.

    python benchmarks/page.py [--clients 20] [--rounds 6] [--fast]

One process classifies the demo clip as fast as it can, over and over. Clients come and go in turns of some seconds, so
that whatever else happens on the machine hits both alike. A slow client takes 64 kB of the live picture a second.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
_TURN_S: Final = 4.0
_SETTLE_S: Final = 0.5


def main() -> None:
    """Take turns, print the rates and their ratio."""
    options = _parser().parse_args()
    command = [
        sys.executable,
        "-m",
        "camera_demo",
        "demo",
        "http://127.0.0.1:0",
        "--loop",
        "--variant",
        options.variant,
    ]
    command += ["--threads", str(options.threads)]
    ratios = []
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        port = int(process.stderr.readline().rsplit(":", 1)[1])
        try:
            _await(port)
            for number in range(options.rounds):
                alone = _rate(port)
                with _clients(port, options.clients, is_fast=options.fast):
                    time.sleep(_SETTLE_S)
                    watched = _rate(port)
                ratios.append(watched / alone)
                print(f"round {number + 1}: {alone:.1f} fps alone, {watched:.1f} fps watched, {ratios[-1]:.1%}")
        finally:
            process.terminate()
    kind = "fast" if options.fast else "slow"
    print(f"{options.clients} {kind} clients leave {statistics.median(ratios):.1%} of the rate (median)")


def _rate(port: int) -> float:
    start_s, before = time.perf_counter(), _answers(port)
    time.sleep(_TURN_S)
    return (_answers(port) - before) / (time.perf_counter() - start_s)


@contextlib.contextmanager
def _clients(port: int, count: int, *, is_fast: bool) -> Iterator[None]:
    stop = threading.Event()
    readers = [threading.Thread(target=_read, args=(port, stop, is_fast)) for _ in range(count)]
    for reader in readers:
        reader.start()
    try:
        yield
    finally:
        stop.set()
        for reader in readers:
            reader.join()


def _read(port: int, stop: threading.Event, is_fast: bool) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(0.5)
        connection.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        while not stop.wait(0.0 if is_fast else 0.25):
            with contextlib.suppress(TimeoutError):
                connection.recv(1 << 20 if is_fast else 16_384)


def _answers(port: int) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("camera_demo_answers_total "))


def _await(port: int) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as answer:
            if json.load(answer)["status"] == "ok":
                return
        time.sleep(0.1)
    raise TimeoutError("camera-demo gives no answers")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--variant", default="0.50_224", help="of the demo bundle; default: 0.50_224")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fast", action="store_true", help="clients that take all they can get")
    return parser


if __name__ == "__main__":
    main()
