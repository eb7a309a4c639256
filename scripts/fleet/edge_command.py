"""The command ``edge`` in processes of its own: new interpreters, or forks of one that has imported its modules.

Most of what a step of a board takes is the start of Python and its imports; a fork takes a tenth of that.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

__all__ = ["EdgeCommand", "RunningCommand"]

_COMMANDS: Final = (
    "bundle",
    "channel",
    "channel_status",
    "classify",
    "compare",
    "evaluate",
    "follow",
    "profile",
    "select",
)
_MODULES: Final = (
    "edge.cli.app",
    *(f"edge.cli.{command}" for command in (*_COMMANDS, "teach")),
    *(f"edge.fleet.{name}" for name in ("broker", "following", "reporting", "step")),
    "edge.inference.backends.litert",
    "edge.updates.download",
    "ai_edge_litert.interpreter",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "cryptography.hazmat.primitives.serialization",
    "filelock",
    "paho.mqtt.client",
    "rich.console",
)
"""What commands import; a fork imports what is missing here."""


class RunningCommand:
    """A command that was begun, in a session of its own."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], *, forks: bool) -> None:
        self._arguments, self._files = ["edge", *arguments], ExitStack()
        folder = Path(self._files.enter_context(tempfile.TemporaryDirectory(prefix="edge-command-")))
        self._out, self._err = folder / "out", folder / "err"
        self._process: subprocess.Popen[bytes] | multiprocessing.process.BaseProcess
        if forks:
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload([*_MODULES])
            values = (self._arguments, dict(environment), self._out, self._err)
            self._process = context.Process(target=_run, args=values)
            self._process.start()
        else:
            with self._out.open("wb") as out, self._err.open("wb") as err:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", *self._arguments],
                    env=dict(environment),
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                )

    def kill(self) -> None:
        """Kill it and what it started, as a loss of power would."""
        assert self._process.pid is not None
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:  # a fork that has no session of its own yet
            self._process.kill()

    def end(self) -> subprocess.CompletedProcess[str]:
        """Wait for it; what it wrote."""
        if isinstance(self._process, subprocess.Popen):
            code: int | None = self._process.wait()
        else:
            self._process.join()
            code = self._process.exitcode
        assert code is not None
        texts = [file.read_text() if file.exists() else "" for file in (self._out, self._err)]
        self._files.close()
        return subprocess.CompletedProcess(self._arguments, code, *texts)


class EdgeCommand:
    """Begins commands, all in one way."""

    def __init__(self, *, forks: bool) -> None:
        """Begin new interpreters, or forks of one."""
        self._forks = forks

    def begin(self, *arguments: str, environment: Mapping[str, str] = os.environ) -> RunningCommand:
        """Begin ``edge ARGUMENTS``."""
        return RunningCommand(arguments, environment, forks=self._forks)

    def run(self, *arguments: str, environment: Mapping[str, str] = os.environ) -> subprocess.CompletedProcess[str]:
        """Run ``edge ARGUMENTS``."""
        return self.begin(*arguments, environment=environment).end()


def _run(arguments: list[str], environment: dict[str, str], out: Path, err: Path) -> None:
    """What a fork does in place of a new interpreter."""
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    for number, file in ((1, out), (2, err)):
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, number)
        os.close(opened)
    sys.argv = arguments
    from edge.__main__ import main

    main()
