"""A process that may have few files or little memory says so in one line."""

from __future__ import annotations

import errno
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from edge.errors import BackendError
from edge.limits import limit_reached

ROOT = Path(__file__).parents[2]
PICTURE = str(ROOT / "edge/bundles/demo/golden/0.png")


def test_the_limit_is_named_wherever_it_was_reached() -> None:
    assert "raise ulimit -n" in limit_reached(OSError(errno.EMFILE, "x"))
    assert "There is not enough memory" in limit_reached(MemoryError())
    assert "There is not enough memory" in limit_reached(ImportError("libx.so: failed to map segment"))
    assert "raise ulimit -u" in limit_reached(RuntimeError("can't start new thread"))
    try:
        try:
            raise OSError(errno.ENFILE, "x")
        except OSError as reason:
            raise BackendError("It cannot be opened.") from reason
    except BackendError as error:
        assert "files open" in limit_reached(error)
    assert not any(map(limit_reached, (OSError(errno.EACCES, "x"), ImportError("no"), RuntimeError("no"))))


@pytest.mark.parametrize(
    ("limit", "values"), [(resource.RLIMIT_NOFILE, (7, 9, 12, 16)), (resource.RLIMIT_AS, (200 << 20, 280 << 20))]
)
@pytest.mark.parametrize(
    "command",
    [
        ["edge", "classify", PICTURE],
        ["edge", "bundle", "verify", "demo"],
        ["camera_demo", "synthetic:64x64@50", "json:/dev/null", "http://127.0.0.1:0", "--max-frames=2"],
    ],
    ids=["classify", "verify", "camera-demo"],
)
def test_no_limit_ends_in_a_traceback(
    command: list[str], limit: int, values: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    variant = ["--variant", "0.25_128"] if command[0] == "camera_demo" else []
    for value in values:
        done = subprocess.run(
            [sys.executable, "-m", *command, *variant],
            capture_output=True,
            text=True,
            timeout=300,
            preexec_fn=lambda value=value: resource.setrlimit(limit, (value, value)),  # type: ignore[misc]
        )
        if limit == resource.RLIMIT_AS:  # told before a library is loaded, which might crash
            assert re.fullmatch(
                rf"[\w-]+: There is not enough memory: this process may address {value >> 20} MB and needs \d+. "
                "Raise ulimit -v.\n",
                done.stderr,
            )
        assert "Traceback" not in done.stderr and "internal error" not in done.stderr, (value, done.stderr)
        assert done.returncode in (0, 1), (value, done.stderr)


@pytest.mark.parametrize(("limit_bytes", "is_told"), [(1 << 40, True), (resource.RLIM_INFINITY, False)])
def test_an_encoding_that_there_is_no_memory_for(
    monkeypatch: pytest.MonkeyPatch, limit_bytes: int, is_told: bool
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limit_bytes, limit_bytes))
    assert bool(limit_reached(LookupError("unknown encoding: idna"))) is is_told


def test_an_address_is_read_without_the_codec_of_names() -> None:
    code = (
        "import sys; from edge.addresses import split_address as read; "
        "assert read('http://127.0.0.1:0').host == '127.0.0.1'; assert 'encodings.idna' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_where_no_memory_is_left_to_say_so_the_least_is_said() -> None:
    code = """
import edge.program

def exhausted(*arguments):
    raise MemoryError

edge.program.say = exhausted
edge.program.run(exhausted, "edge")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (1, "edge: There is not enough memory.\n")
