"""What a fleet has besides its boards: a static host, a broker, Prometheus. Each of them can fail."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, cast

__all__ = ["Broker", "Prometheus", "StaticHost", "find_program", "free_port"]

_RANGE: Final = re.compile(r"bytes=(\d+)-")


def find_program(name: str) -> str | None:
    """Where a daemon's program is: on the path, or where Debian puts daemons."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class _Files(BaseHTTPRequestHandler):
    """Files of a folder, whole or from a byte on."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        host = cast("_Server", self.server).host
        path = host.folder / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        found = _RANGE.match(self.headers.get("Range", ""))
        start = int(found[1]) if found else 0
        host.starts.append((path.name, start))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if host.dies_after is not None and path.suffix == ".zip":
            self.wfile.write(content[start : start + host.dies_after])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.wfile.write(content[start:])

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    host: StaticHost

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that were killed."""


class StaticHost:
    """A web server of files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dies_after: int | None = None
        """Bytes of a ``.zip`` file after which every connection is cut; None for a host that is well."""
        self.starts: list[tuple[str, int]] = []
        """Which file was asked for, from which byte on."""
        self._server = _Server(("127.0.0.1", 0), _Files)
        self._server.host = self
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()


class Broker:
    """A mosquitto that keeps nothing over a restart."""

    def __init__(self, folder: Path) -> None:
        program = find_program("mosquitto")
        if program is None:
            raise SystemExit("mosquitto is not installed: apt-get install mosquitto")
        self._program, self.port = program, free_port()
        self._config, self._process = folder / "mosquitto.conf", cast("subprocess.Popen[bytes] | None", None)
        self._config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [self._program, "-c", str(self._config)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _until_it_listens(self.port, self._process)

    def kill(self) -> None:
        """Kill it, as a loss of power would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Prometheus:
    """A Prometheus that asks every board's page."""

    def __init__(self, folder: Path, program: str, targets: list[str], rules: Path | None) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        config: dict[str, Any] = {
            "global": {"scrape_interval": "5s", "scrape_timeout": "4s", "evaluation_interval": "5s"},
            "rule_files": [str(rules)] if rules else [],
            "scrape_configs": [{"job_name": "mobilenet-edge", "static_configs": [{"targets": targets}]}],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        command = [
            program,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with (folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        _until_it_listens(port, self._process)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples that an expression has now."""
        address = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        with urllib.request.urlopen(address, timeout=30) as answer:
            return list(json.load(answer)["data"]["result"])

    def versions(self) -> dict[str, int]:
        """How many boards it sees in each version."""
        rows = self.query("count by (installed) (mobilenet_edge_update_info)")
        return {row["metric"].get("installed", ""): int(row["value"][1]) for row in rows}

    def kill(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


def _until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"{process.args!r} ended with {process.returncode}")
