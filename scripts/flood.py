"""Floods the page with connections that have no token, and looks whether the camera's loop and a browser notice.

Three kinds at once, each opened again a second after it was closed: idle ones say nothing, slow ones send a byte of a
request each second, endless ones send a body without end to ``/healthz``. The demo clip stands for the camera.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

__all__ = ["Span", "faults", "main"]

ROOT: Final = Path(__file__).resolve().parents[1]
_TOKEN: Final = "flood-test-token"
_AGAIN_S: Final = 1.0
_MIN_RATE: Final = 0.95
_MAX_GROWTH_MB: Final = 30.0
_MAX_LINES: Final = 5
_MAX_WAIT_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What was seen over some time."""

    fps: float
    """Answers a second of the loop."""
    page_s: tuple[float, ...]
    """Seconds until a browser with the token had the page, for each try; infinite for one that failed."""
    pictures: int
    """Bytes that a browser with the token got of the live stream."""
    rss_mb: float
    """The most memory of the process, in MB of 10^6 bytes."""
    descriptors: int
    """The most open files of the process."""
    cpu_percent: float
    """Of one CPU, by the process."""


@dataclass(slots=True)
class _Flood:
    """The connections, by a thread of their own."""

    port: int
    idle: int
    slow: int
    endless: int
    opened: int = 0
    sent_bytes: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Keep all connections up until :meth:`stop`."""
        asyncio.run(self._run())

    def stop(self) -> None:
        """End it."""
        self._stop.set()

    async def _run(self) -> None:
        kinds = ((self._idle, self.idle), (self._slow, self.slow), (self._endless, self.endless))
        tasks = [asyncio.create_task(self._again(kind)) for kind, count in kinds for _ in range(count)]
        while not self._stop.is_set():
            await asyncio.sleep(0.2)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _again(
        self, use: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
    ) -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                self.opened += 1
                try:
                    await use(reader, writer)
                finally:
                    writer.transport.abort()
            await asyncio.sleep(_AGAIN_S)

    async def _idle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def _slow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: " + b"x" * 10_000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(1)

    async def _endless(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1000\r\n" + b"a" * 4096 + b"\r\n")
            await writer.drain()
            self.sent_bytes += 4102
            await asyncio.sleep(0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it, print what was seen, and return 1 if the flood could be noticed."""
    options = _parser().parse_args(arguments)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    command = [
        sys.executable,
        "-m",
        "camera_demo",
        options.input,
        "http://127.0.0.1:0",
        "json:/dev/null",
        "--loop",
        "--pace",
    ]
    command += ["--token", _TOKEN, "--fps", "30", *options.option]
    lines: list[str] = []
    limit = (1024, hard)
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit),
    ) as process:
        assert process.stderr is not None
        port = int(process.stderr.readline().rsplit(":", 1)[1].partition("/")[0])
        reader = threading.Thread(target=lines.extend, args=(process.stderr,))
        reader.start()
        try:
            _await(port)
            quiet = _watch(port, process.pid, options.seconds)
            flood = _Flood(port, options.idle, options.slow, options.endless)
            thread = threading.Thread(target=flood.run)
            before = len(lines)
            thread.start()
            time.sleep(2)
            flooded = _watch(port, process.pid, options.seconds)
            flood.stop()
            thread.join()
            logged = len(lines) - before
        finally:
            process.terminate()
            reader.join()
    print(f"{'':>8} {'fps':>6} {'page ms':>8} {'longest':>8} {'stream MB':>9} {'RSS MB':>7} {'files':>6} {'CPU %':>6}")
    for name, span in (("quiet", quiet), ("flooded", flooded)):
        median_ms, longest_ms = 1e3 * statistics.median(span.page_s), 1e3 * max(span.page_s)
        print(
            f"{name:>8} {span.fps:6.2f} {median_ms:8.1f} {longest_ms:8.1f} {span.pictures / 1e6:9.1f}"
            f" {span.rss_mb:7.1f} {span.descriptors:6} {span.cpu_percent:6.1f}"
        )
    print(f"{flood.opened} connections opened, {flood.sent_bytes / 1e6:.1f} MB sent, {logged} lines logged")
    found = faults(quiet, flooded, logged)
    print("; ".join(found) or "the flood was not noticed")
    return 1 if found else 0


def faults(quiet: Span, flooded: Span, logged: int) -> list[str]:
    """What the flood did, in words."""
    found = []
    if flooded.fps < _MIN_RATE * quiet.fps:
        found.append(f"the rate fell from {quiet.fps:.2f} to {flooded.fps:.2f} fps")
    if max(flooded.page_s) > _MAX_WAIT_S:
        found.append(f"a browser waited {max(flooded.page_s):.1f} s for the page")
    if not flooded.pictures:
        found.append("a browser got no pictures")
    if flooded.rss_mb > quiet.rss_mb + _MAX_GROWTH_MB:
        found.append(f"memory grew from {quiet.rss_mb:.1f} to {flooded.rss_mb:.1f} MB")
    if logged > _MAX_LINES:
        found.append(f"{logged} lines were logged")
    return found


def _watch(port: int, pid: int, seconds: float) -> Span:
    process, page_s, got = psutil.Process(pid), list[float](), [0]
    stop = threading.Event()
    stream = threading.Thread(target=_read_stream, args=(port, got, stop))
    start_s, answers, cpu_s = time.monotonic(), _answers(port), sum(process.cpu_times()[:2])
    stream.start()
    rss_mb, descriptors = 0.0, 0
    while time.monotonic() < start_s + seconds:
        rss_mb = max(rss_mb, process.memory_info().rss / 1e6)
        descriptors = max(descriptors, process.num_fds())
        asked_s = time.monotonic()
        try:
            is_served = b"<title>" in _request(port, "/")
        except (OSError, http.client.HTTPException):
            is_served = False
        page_s.append(time.monotonic() - asked_s if is_served else float("inf"))
        stop.wait(1)
    took_s = time.monotonic() - start_s
    cpu_percent = 100 * (sum(process.cpu_times()[:2]) - cpu_s) / took_s
    fps = (_answers(port) - answers) / (time.monotonic() - start_s)
    stop.set()
    stream.join()
    return Span(
        fps=fps,
        page_s=tuple(page_s),
        pictures=got[0],
        rss_mb=rss_mb,
        descriptors=descriptors,
        cpu_percent=cpu_percent,
    )


def _read_stream(port: int, got: list[int], stop: threading.Event) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/stream.mjpg", headers={"Authorization": f"Bearer {_TOKEN}"})
        with contextlib.closing(connection), connection.getresponse() as answer:
            while not stop.is_set():
                got[0] += len(answer.read(10_000))


def _request(port: int, path: str) -> bytes:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path, headers={"Authorization": f"Bearer {_TOKEN}"})
        return connection.getresponse().read()


def _answers(port: int) -> int:
    for _ in range(50):
        with contextlib.suppress(OSError, http.client.HTTPException):
            lines = _request(port, "/metrics").decode().splitlines()
            return next(int(float(line.split()[1])) for line in lines if line.startswith("camera_demo_answers_total "))
    raise TimeoutError("the page answers no more")


def _await(port: int) -> None:
    for _ in range(1200):
        with contextlib.suppress(OSError, http.client.HTTPException):
            if b'"ok"' in _request(port, "/healthz"):
                return
        time.sleep(0.1)
    raise TimeoutError("camera-demo gives no answers")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="test-flood", description=__doc__, epilog="Example: scripts/test-flood")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="how long, before and during the flood; default: 60"
    )
    parser.add_argument("--idle", type=int, default=2000, help="connections that send nothing; default: 2000")
    parser.add_argument("--slow", type=int, default=2000, help="connections that send a byte a second; default: 2000")
    parser.add_argument("--endless", type=int, default=200, help="connections with an endless body; default: 200")
    parser.add_argument("--input", default="demo", help="what stands for the camera; default: demo")
    parser.add_argument(
        "--option", action="append", default=[], help="an option for camera-demo, e.g. --option=--threads=1"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
