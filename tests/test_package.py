"""The wheel holds everything that the package needs, and works away from a checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.mosquitto import free_port

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("edge", "convert", "camera_demo", "profiles")
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


def tracked(*folders: str) -> set[str]:
    done = subprocess.run(["git", "ls-files", *folders], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("this is no checkout of git, which knows what belongs to the package")
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    for name in tracked(*PACKAGES, "pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / "source" / name)
    command = [sys.executable, "-c", BUILD, str(folder)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder / "source", capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


def test_it_holds_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == tracked(*PACKAGES)


def test_it_works_away_from_a_checkout(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "installed")}

    def run(*command: str) -> str:
        whole = [sys.executable, *command]
        return subprocess.run(whole, cwd=tmp_path, capture_output=True, text=True, check=True, env=environment).stdout

    assert run("-c", "import edge; print(edge.__file__)").startswith(str(tmp_path))
    assert "8 variants gave the golden answers" in run("-m", "edge", "bundle", "verify", "demo")
    clip = run("-m", "camera_demo", "demo", "json:-", "--variant", "0.25_128", "--max-frames", "3", "--threads", "1")
    assert len(clip.splitlines()) == 3
    unit = tmp_path / "installed" / "camera_demo" / "service" / "mobilenet-edge.service"
    assert "camera-demo --config" in unit.read_text()
    follower = tmp_path / "installed" / "edge" / "fleet" / "service"
    assert {path.suffix for path in follower.glob("mobilenet-edge-follow.*")} == {".service", ".timer", ".path"}


def test_the_container_is_built_from_what_the_wheel_needs() -> None:
    ignored = (ROOT / ".containerignore").read_text().splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == {
        *PACKAGES,
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "NOTICE",
    }


@pytest.mark.parametrize(("status", "is_well"), [(200, True), (503, False), (None, False)])
def test_the_containers_health_check_tells_how_the_page_is(status: int | None, is_well: bool) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status or 500 if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    (line,) = [line for line in (ROOT / "Containerfile").read_text().splitlines() if line.startswith("    CMD [")]
    command = json.loads(line.removeprefix("    CMD "))
    assert command[0] == "python3"
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        code = command[-1].replace("8000", str(server.server_address[1] if status else free_port()))
        done = subprocess.run([sys.executable, *command[1:-1], code], capture_output=True, text=True, timeout=60)
        server.shutdown()
        thread.join()
    assert (done.returncode == 0) == is_well, done.stderr
