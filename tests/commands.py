"""Commands run in this process: one that loads torch in a process of its own takes two seconds before it begins."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest


def run_in_process(main: Callable[[], NoReturn], program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Calls what the console script calls, with its arguments, and gives what a process would."""
    line = [program, *map(str, arguments)]
    with pytest.MonkeyPatch.context() as patch, _caught("stdout") as out, _caught("stderr") as err:
        patch.setattr(sys, "argv", line)
        patch.setattr("edge.native_output._is_shown", False)  # --debug sets it for the rest of a process
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        assert isinstance(code, int), code
        return subprocess.CompletedProcess(line, code, out(), err())


@contextlib.contextmanager
def _caught(name: str) -> Iterator[Callable[[], str]]:
    """Takes what is written to a standard stream while the block runs."""
    raw = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch, io.TextIOWrapper(raw, "utf-8", write_through=True) as stream:
        patch.setattr(sys, name, stream)
        yield lambda: raw.getvalue().decode()
