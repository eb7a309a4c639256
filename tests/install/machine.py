"""A fake machine for the installer: a tree for what it reads of the system, and a PATH of plain tools, fake
interpreters and a fake apt-get, all of which note how they were called.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tests.boards import Board, write_tree

PROJECT: Final = Path(__file__).parents[2]
TOOLS: Final = (
    *("awk", "basename", "cat", "chmod", "cksum", "cp", "dirname", "du", "env", "find", "grep", "head", "ln"),
    *("mkdir", "mv", "printf", "readlink", "rm", "rmdir", "sed", "sh", "sha256sum", "sleep", "sort", "tail", "tr"),
    *("touch", "wc"),
)

FAKE_PYTHON: Final = r"""#!/bin/sh
echo "python $*" >>"$CALLS"
case "$*" in
    *importlib.util*) echo "PROBE $0" ;;
    *fcntl.flock*) exec REAL "$@" ;;
    *os.replace*) mv -T "$4" "$5" ;;
    *urllib.request*) [ -n "${INDEX_ANSWERS:-}" ] ;;
    "-m venv "*)
        for folder in "$@"; do :; done
        mkdir -p "$folder/bin" "$folder/include" "$folder/lib/python3.MINOR/site-packages"
        cp "$0" "$folder/bin/python"
        : >"$folder/pyvenv.cfg"
        ;;
    "-m compileall "*) ;;
    "-m pip install "*--report*)
        for report in "$@"; do :; done
        echo "{\"name\": \"${TORCH_BRINGS:-sympy}\"}" >"$report"
        ;;
    "-m pip install "*)
        [ -z "${FAKE_PIP_WAITS_FOR:-}" ] || { echo waiting >"$FAKE_PIP_WAITS_FOR"; sleep 60; }
        [ -z "${FAKE_PIP_IS_KILLED:-}" ] || kill -9 $$
        if [ -n "${FAKE_PIP_SAYS:-}" ]; then echo "$FAKE_PIP_SAYS"; exit 1; fi
        case "$*" in
            *--target*)
                [ -z "${NO_SECOND_RUNTIME:-}" ] || exit 1
                while [ "$1" != --target ]; do shift; done
                mkdir -p "$2"
                ;;
            *)
                for program in edge camera-demo; do
                    printf '#!/bin/sh\necho "%s $*" >>"$CALLS"\nexit "${%s:-0}"\n' \
                        "$program" "$([ $program = edge ] && echo EDGE_STATUS || echo DEMO_STATUS)" \
                        >"${0%/*}/$program"
                    chmod +x "${0%/*}/$program"
                done
                ;;
        esac
        ;;
    *default_environment*)
        shift 2
        echo "pip as $*" >>"$CALLS"
        if [ -n "${FAKE_PIP_SAYS:-}" ]; then echo "$FAKE_PIP_SAYS"; exit 1; fi
        while [ "$1" != --dest ]; do shift; done
        touch "$2/mobilenet_edge-0.1.0-py3-none-any.whl"
        echo wheel >"$2/numpy-2.4.6-cp311-cp311-manylinux_2_28_aarch64.whl"
        ;;
    "-m pip uninstall "*) ;;
    "-m pytest"*)
        if [ -n "${TESTS_FAIL:-}" ]; then echo "FAILED test_x"; exit 1; fi
        echo "..."
        echo "3 passed in 0.01s"
        ;;
    *) exit 9 ;;
esac
"""

SEES: Final = ("picamera2", "tensorrt", "cv2", "numpy", "psutil")
"""What the installer asks a Python for, in the order of the answers."""

PIP: Final = "python -m pip install --disable-pip-version-check --no-input"


def made(number: int = 1, *, extras: str = "litert,headless", option: str = "", others: str = "") -> list[str]:
    """How an environment is made: the calls of Python, pip and the compiler."""
    return [
        f"python -m venv {option}HERE/.venv/{number}",
        f"{PIP} --no-compile --editable .[{extras}]{others}",
        f"python -m compileall -q -j 0 -x /(tests|pip|setuptools|pkg_resources|lexers|f2py)/ HERE/.venv/{number}/lib",
    ]


class Machine:
    """A fake machine with a copy of the installer."""

    def __init__(self, folder: Path, *, name: str = "project") -> None:
        self.root, self.bin, self.project = folder / "root", folder / "bin", folder / name
        self.calls_file = folder / "calls"
        for path in (self.root, self.bin, self.project / "scripts"):
            path.mkdir(parents=True)
        for tool in TOOLS:
            (self.bin / tool).symlink_to(str(shutil.which(tool)))
        scripts = ("scripts/constraints.txt", "scripts/test", "scripts/install-service")
        for file in ("install.sh", "pyproject.toml", *scripts):
            shutil.copy(PROJECT / file, self.project / file)
        self.calls_file.touch()
        self.environ = {"PATH": str(self.bin), "MNE_ROOT": str(self.root), "CALLS": str(self.calls_file)}
        self.kernel("aarch64")
        self.user(0)

    def command(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(script)
        path.chmod(0o755)

    def kernel(self, machine: str) -> None:
        self.command("uname", f'#!/bin/sh\n[ "$1" = -s ] && echo Linux || echo {machine}\n')

    def user(self, number: int) -> None:
        self.command("id", f"#!/bin/sh\necho {number}\n")

    def has(self, files: Mapping[str, str]) -> None:
        write_tree(self.root, files)

    def is_board(self, board: Board) -> None:
        """Become another board."""
        shutil.rmtree(self.root)
        self.has(board.files)
        self.kernel(board.machine)
        for words, told in board.commands.items():
            name, _, rest = words.partition(" ")
            (self.root / name).write_text(told)
            self.command(name, f'#!/bin/sh\ncase "$*" in "{rest}"*) cat "{self.root / name}" ;; *) exit 1 ;; esac\n')
        self.python(minor=int(board.python.split(".")[1]), bits=board.bits, sees=board.packages)

    def fake_python(self, minor: int, bits: int, venv: str, sees: Mapping[str, str]) -> str:
        probe = " ".join([str(minor), str(bits), venv, *(sees.get(name, "no") for name in SEES)])
        return FAKE_PYTHON.replace("PROBE", probe).replace("MINOR", str(minor)).replace("REAL", sys.executable)

    def python(
        self,
        name: str = "python3",
        *,
        minor: int = 11,
        bits: int = 64,
        venv: str = "yes",
        sees: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """``sees``: versions of the system's packages."""
        self.command(name, self.fake_python(minor, bits, venv, sees))

    def apt_get(self, *, brings: Mapping[str, str] | None = None, bits: int = 64) -> None:
        """An apt-get after which ``python3`` makes environments and sees what it ``brings``; without it, nothing."""
        self.command("new-python", self.fake_python(11, bits, "yes", brings or {}))
        move = f"cp {self.bin}/new-python {self.bin}/python3"
        move = f'case "$*" in *python3*) {move} ;; esac' if brings is not None else ":"
        self.command("apt-get", f'#!/bin/sh\necho "apt-get $*" >>"$CALLS"\n{move}\n')
        self.command("sudo", '#!/bin/sh\necho "sudo $1" >>"$CALLS"\nexec "$@"\n')

    def install(self, *options: str, script: str = "install.sh", **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.project / script), *options],
            env=self.environ | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def plan(self, *options: str, **environ: str) -> list[str]:
        """The numbered lines of the plan."""
        result = self.install("--dry-run", *options, **environ)
        assert result.returncode == 0, result.stderr
        return [line.strip() for line in result.stdout.splitlines() if line.strip()[:1].isdigit()]

    def calls(self) -> list[str]:
        """How the fakes were called since the last time, without the probing."""
        calls = self.calls_file.read_text().splitlines()
        self.calls_file.write_text("")
        known = ("python -m", "pip as", "apt-get", "sudo", "edge", "camera-demo")
        return [call.replace(str(self.project), "HERE") for call in calls if call.startswith(known)]

    def fails(self, message: str, *options: str, **environ: str) -> str:
        """Install, expect one line of reason last, and give what came before it."""
        result = self.install(*options, **environ)
        assert result.returncode == 1, result.stdout
        *before, last = result.stderr.splitlines()
        assert last.replace(str(self.project), "HERE") == f"install.sh: {message}"
        return "\n".join(before)
