"""A process for each case: forked, watched, and measured when it ends. What happens to it never reaches the parent."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal

__all__ = ["STAGE_S", "Fault", "Outcome", "Stage", "each_in_a_process"]

STAGE_S: Final = 20.0
"""How long a stage may take before its process is ended."""
_MOST_MB: Final = 600
"""Private memory of a case beyond the parent's: enough to see how much it wants, too little to harm the machine."""

Verdict = Literal["refused", "accepted", "fault", "killed"]
Stage = Callable[[str], None]
"""Says which stage of a case begins."""
Judge = Callable[[int, Path, Stage], str]
"""Makes a case by its number in an empty folder and judges it: why it was refused, or an empty text."""


class Fault(Exception):  # noqa: N818 - what is looked for, not an error of this program
    """Something that must not happen, whatever the case is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one case ended."""

    case: int
    stage: str
    """The last stage that began."""
    verdict: Verdict
    message: str = ""
    """Why it was refused, what is at fault, or which signal ended the process."""
    peak_mb: float = 0.0
    """Memory beyond that of an idle process."""
    seconds: float = 0.0


def each_in_a_process(judge: Judge, cases: Iterable[int], *, workers: int) -> Iterator[Outcome]:
    """Judge cases, ``workers`` at a time; outcomes come as they end.

    Only to be called by a process without threads: each case is a fork of it.
    """
    idle = _wait(_start(lambda case, folder, stage: "", 0)).peak_mb
    waiting, running = iter(cases), dict[int, _Running]()
    try:
        while True:
            while len(running) < workers and (case := next(waiting, None)) is not None:
                started = _start(judge, case)
                running[started.pipe] = started
            if not running:
                return
            for pipe in select.select(list(running), [], [])[0]:
                if not running[pipe].has_more():
                    outcome = _wait(running.pop(pipe))
                    yield replace(outcome, peak_mb=max(0.0, outcome.peak_mb - idle))
    finally:
        for left in running.values():
            os.kill(left.process, signal.SIGKILL)
            _wait(left)


@dataclass(slots=True, kw_only=True)
class _Running:
    case: int
    process: int
    pipe: int
    folder: TemporaryDirectory[str]
    started_s: float
    answer: bytes = b""

    def has_more(self) -> bool:
        """Read what came; false at the end."""
        chunk = os.read(self.pipe, 1 << 16)
        self.answer += chunk
        return bool(chunk)


def _start(judge: Judge, case: int) -> _Running:
    folder = TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True)
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        code = 1
        with contextlib.suppress(BaseException):
            os.close(reading)
            _judge(judge, case, Path(folder.name), writing)
            code = 0
        os._exit(code)
    os.close(writing)
    return _Running(case=case, process=process, pipe=reading, folder=folder, started_s=time.monotonic())


def _judge(judge: Judge, case: int, folder: Path, pipe: int) -> None:
    """In the child: judge a case, and write each stage and the verdict to the pipe, a line each."""

    def write(**values: Any) -> None:
        os.write(pipe, json.dumps(values).encode() + b"\n")

    def stage(name: str) -> None:
        write(stage=name)
        signal.setitimer(signal.ITIMER_REAL, STAGE_S)

    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    data = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (data + (_MOST_MB << 20),) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        message = judge(case, folder, stage)
    except Fault as fault:
        write(verdict="fault", message=str(fault))
    except BaseException as error:  # noqa: BLE001 - whatever is not the package's own error is what is looked for
        place = traceback.extract_tb(error.__traceback__)[-1]
        write(verdict="fault", message=f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno}: {error}")
    else:
        write(verdict="refused" if message else "accepted", message=message)


def _wait(running: _Running) -> Outcome:
    """Read the rest of a case's answer, and take its process's end."""
    while running.has_more():
        pass
    os.close(running.pipe)
    _, status, usage = os.wait4(running.process, 0)
    running.folder.cleanup()
    lines = [json.loads(line) for line in running.answer.splitlines()]
    stages = [line["stage"] for line in lines if "stage" in line]
    last = lines[-1] if lines else {}
    code = os.waitstatus_to_exitcode(status)
    killed = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    return Outcome(
        case=running.case,
        stage=stages[-1] if stages else "start",
        verdict=last.get("verdict", "killed"),
        message=last.get("message", killed),
        peak_mb=usage.ru_maxrss / 1024,
        seconds=time.monotonic() - running.started_s,
    )
