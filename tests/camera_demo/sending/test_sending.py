"""Pictures go home once each: by the real rsync and rclone, and to a web server that breaks off and refuses."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, time, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from camera_demo.collecting.collection import Collection
from camera_demo.collecting.picture import Collected
from camera_demo.errors import ConfigError, SinkError
from camera_demo.sending.ledger import LEDGER, Ledger
from camera_demo.sending.send import SendOptions, Sent, send
from camera_demo.sending.targets import Target, open_target
from edge.errors import OutputError
from tests.conftest import draw
from tests.edge.test_files import mounted

needs_rsync = pytest.mark.skipif(shutil.which("rsync") is None, reason="no rsync: apt-get install rsync")
needs_rclone = pytest.mark.skipif(shutil.which("rclone") is None, reason="no rclone: apt-get install rclone")
NOON = datetime(2027, 1, 1, 12, tzinfo=timezone.utc)
FAST = SendOptions(kilobytes_s=100_000)


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    """Twenty-five pictures that the network was unsure of, and one that was asked for."""
    collection = Collection(tmp_path / "seen")
    for number in range(26):
        why = "asked" if number == 25 else ("unsure", "unknown")[number % 2]
        collection.add(draw(number, (48, 64)), Collected(file=f"p{number:02}_1.jpg", time="2027-01-01", why=why))
    collection.close()
    return tmp_path / "seen"


def files_of(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")}


def expected(count: int = 25) -> set[str]:
    return {f"p{number:02}_1{suffix}" for number in range(count) for suffix in (".jpg", ".json")}


@needs_rsync
def test_rsync_takes_each_hard_picture_once_with_what_is_known_of_it(seen: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    target, before = open_target(str(tmp_path / "home")), files_of(seen)
    assert send(seen, target, FAST).pictures == 25
    assert files_of(tmp_path / "home") == expected()
    assert (tmp_path / "home/p03_1.jpg").read_bytes() == (seen / "p03_1.jpg").read_bytes()
    assert json.loads((tmp_path / "home/p03_1.json").read_text())["why"] == "unknown"
    shutil.rmtree(tmp_path / "home")
    assert send(seen, target, FAST) == Sent(pictures=0, size_bytes=0, left=0, why="")
    assert not (tmp_path / "home").exists() and files_of(seen) == before
    assert send(seen, target, SendOptions(everything=True, kilobytes_s=9999)).pictures == 1
    assert not list(seen.glob(".batch.*"))


@pytest.fixture
def rsync_daemon(tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Starts a real rsync server; its module is read-only for as long as ``refuses`` is there."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "module").mkdir()
    config = tmp_path / "rsyncd.conf"
    started = []

    def start(read_only: str = "no") -> str:
        config.write_text(
            f"use chroot = no\nuid = 0\ngid = 0\n[pictures]\npath = {tmp_path}/module\nread only = {read_only}\n"
        )
        line = ["rsync", "--daemon", "--no-detach", f"--config={config}", f"--port={port}", "--address=127.0.0.1"]
        started.append(subprocess.Popen(line, stderr=subprocess.DEVNULL))
        for _ in range(500):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            threading.Event().wait(0.02)
        return f"rsync://127.0.0.1:{port}/pictures"

    yield start
    for one in started:
        one.kill()
        one.wait()


@needs_rsync
def test_a_server_that_refuses_gets_it_all_the_next_time(
    seen: Path, tmp_path: Path, rsync_daemon: Callable[..., str]
) -> None:
    with pytest.raises(SinkError, match=r"module is read only"):
        send(seen, open_target(address := rsync_daemon("yes")), FAST)
    assert not (seen / LEDGER).exists() and not files_of(tmp_path / "module")
    (tmp_path / "rsyncd.conf").write_text((tmp_path / "rsyncd.conf").read_text().replace("only = yes", "only = no"))
    assert send(seen, open_target(address), FAST).pictures == 25


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    yield from mounted(tmp_path / "small", "size=400k")


@needs_rsync
def test_a_full_disk_there_is_told_and_what_is_left_goes_the_next_time(seen: Path, small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(bytes(shutil.disk_usage(small_disk).free - 60_000))
    with pytest.raises(SinkError, match=r"No space left on device"):
        send(seen, open_target(str(small_disk)), FAST)
    (small_disk / "filler").unlink()
    assert send(seen, open_target(str(small_disk)), FAST).left == 0
    assert files_of(small_disk) == expected()


@needs_rsync
def test_a_server_that_is_away_is_told(seen: Path, tmp_path: Path, rsync_daemon: Callable[[], str]) -> None:
    target = open_target(rsync_daemon())
    assert send(seen, target, FAST).pictures == 25 and files_of(tmp_path / "module") == expected()
    with pytest.raises(SinkError, match=r"^rsync to rsync://127\.0\.0\.1:1.* ended with code 10: .*Connection refused"):
        send(seen, open_target("rsync://127.0.0.1:1/pictures"), FAST)
    assert send(seen, target, FAST).pictures == 0  # each target has its own account


@needs_rsync
def test_killed_in_the_middle_it_goes_on_where_it_was(seen: Path, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "camera_demo.sending", str(seen), str(tmp_path / "home")]
    (tmp_path / "home").mkdir()
    process = subprocess.Popen([*line, "--kbps", "30"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not any((tmp_path / "home").iterdir()):
        assert process.poll() is None
    process.kill()
    process.wait()
    done = subprocess.run([*line, "--kbps", "99999", "--json"], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["left"] == 0
    assert {name for name in files_of(tmp_path / "home") if name in expected()} == expected()
    assert not list(seen.glob(".batch.*"))


class Server(ThreadingHTTPServer):
    """Takes pictures, and answers as it is told: a code, or ``cut``."""

    answers: list[int | str]
    taken: list[bytes]
    tokens: list[str | None]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        answer = self.server.answers.pop(0) if self.server.answers else 200
        self.server.tokens.append(self.headers["authorization"])
        if answer == "cut":
            self.rfile.read(100)
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        body = self.rfile.read(int(self.headers["content-length"]))
        assert isinstance(answer, int)
        if answer == 200:
            self.server.taken.append(body)
        self.send_response(answer)
        if answer == 302:
            self.send_header("location", "http://192.0.2.1/")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def web() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.answers, server.taken, server.tokens = [], [], []
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def target_of(server: Server, secret: str = "") -> Target:
    return open_target(f"http://127.0.0.1:{server.server_port}/in?{secret}", {"SEND_TOKEN": "t0p"})


@pytest.mark.parametrize(("answer", "says"), [(500, "answered 500"), ("cut", "Cannot send"), (302, "answered 302")])
def test_a_web_server_gets_each_picture_once_whatever_happens(
    answer: int | str, says: str, seen: Path, web: Server
) -> None:
    web.answers = [200, 200, answer]
    with pytest.raises(SinkError, match=says) as error:
        send(seen, target_of(web, "key=s3cret"), FAST)
    assert "s3cret" not in str(error.value) and "s3cret" not in (seen / LEDGER).read_text()
    assert len(web.taken) == 2
    assert send(seen, target_of(web, "key=s3cret"), FAST).pictures == 23
    names = [body.partition(b'filename="')[2].partition(b'"')[0].decode() for body in web.taken]
    assert sorted(names) == sorted(name for name in expected() if name.endswith(".jpg"))
    assert b'name="about"' in web.taken[0] and set(web.tokens) == {"Bearer t0p"}


def test_no_more_than_so_many_megabytes_in_24_hours(seen: Path, web: Server) -> None:
    sizes = [(seen / f"p{number:02}_1.jpg").stat().st_size for number in range(25)]
    options = SendOptions(mb=sum(sizes[:4]) / 1e6 + 1e-6, kilobytes_s=100_000)
    sent = send(seen, target_of(web), options, clock=lambda: NOON)
    assert (sent.pictures, sent.left) == (4, 21) and "MB in 24 hours are reached" in sent.why
    assert send(seen, target_of(web), options, clock=lambda: NOON + timedelta(hours=23)).pictures == 0
    assert send(seen, target_of(web), options, clock=lambda: NOON + timedelta(hours=25)).pictures > 0


@pytest.mark.parametrize(
    ("hours", "count"), [(("11:00", "13:00"), 25), (("13:00", "11:00"), 0), (("23:00", "12:30"), 25)]
)
def test_only_at_the_time_that_was_set(hours: tuple[str, str], count: int, seen: Path, web: Server) -> None:
    start, end = (time.fromisoformat(one) for one in hours)
    options = SendOptions(between=(start, end), kilobytes_s=100_000)
    sent = send(seen, target_of(web), options, clock=lambda: NOON)
    assert sent.pictures == count and bool(sent.why) == (count == 0)


def test_a_full_disk_loses_nothing(seen: Path, web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Ledger, files: object, size_bytes: int, now_s: float) -> None:
        raise OutputError("Cannot write .sent.json: No space left on device.")

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "confirm", full)
        with pytest.raises(OutputError):
            send(seen, target_of(web), FAST)
    assert send(seen, target_of(web), FAST).pictures == 25


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("-e sh:x", "invalid target"),
        ("me@-oProxyCommand=x:y", "invalid target"),
        ("rsync://-x/y", "invalid target"),
        ("rclone:nowhere", "expected rclone:REMOTE:FOLDER"),
        ("http://example.com/in", "by https:// only"),
        ("", "invalid target"),
        ("nas", "There is no folder nas: expected HOST:FOLDER"),
    ],
)
def test_what_is_no_target_is_refused(place: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        open_target(place, {"PATH": "/usr/bin"})


def test_a_server_that_is_not_there_is_told_in_the_system_s_words(seen: Path) -> None:
    with pytest.raises(SinkError, match=r"^Cannot send to https://127\.0\.0\.1:1/\*\*\*: connection refused\.$"):
        send(seen, open_target("https://127.0.0.1:1/in"), FAST)


def test_what_is_missing_is_said(tmp_path: Path, seen: Path, web: Server) -> None:
    with pytest.raises(ConfigError, match="rsync is not installed: sudo apt-get install rsync"):
        open_target("me@nas:pictures", {"PATH": str(tmp_path)})
    with pytest.raises(SinkError, match=r"has no collected.jsonl: expected a folder that camera-demo collects into"):
        send(tmp_path, target_of(web))
    assert not web.taken


@pytest.mark.parametrize(
    "of_target",
    ["[]", "{}", '{"files": "ab", "sent": []}', '{"files": [], "sent": [1]}', '{"files": [], "sent": [["x", 1]]}'],
)
def test_a_ledger_that_is_damaged_sends_nothing_again(seen: Path, web: Server, of_target: str) -> None:
    target = target_of(web)
    for text in (of_target, f'{{"schema_version": 1, "targets": {{"{target.key}": {of_target}}}}}'):
        (seen / LEDGER).write_text(text)
        with pytest.raises(OutputError, match=r"\.sent\.json"):
            send(seen, target)
    assert not web.taken


@pytest.mark.parametrize("token", ["schlüssel", "two\nlines"])
def test_a_token_that_no_header_can_hold_is_refused(token: str) -> None:
    with pytest.raises(ConfigError, match="invalid token in SEND_TOKEN: expected"):
        open_target("https://127.0.0.1:1/in", {"SEND_TOKEN": token})


@needs_rclone
def test_rclone_copies_to_its_remotes(seen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RCLONE_CONFIG", str(tmp_path / "rclone.conf"))
    monkeypatch.setenv("RCLONE_CONFIG_DISK_TYPE", "local")
    assert send(seen, open_target(f"rclone:disk:{tmp_path / 'bucket'}"), FAST).pictures == 25
    assert files_of(tmp_path / "bucket") == expected()
    with pytest.raises(SinkError, match="rclone to rclone:none:x ended with code"):
        send(seen, open_target("rclone:none:x"), FAST)


MOTO = os.environ.get("MNE_MOTO", "") or shutil.which("moto_server")


@needs_rclone
@pytest.mark.skipif(
    not MOTO, reason="no S3 server: pip install 'moto[server]' elsewhere, and MNE_MOTO names moto_server"
)
def test_an_s3_server_gets_each_picture_once(seen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    settings = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": endpoint, "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}
    for name, value in settings.items():
        monkeypatch.setenv(f"RCLONE_CONFIG_HOME_{name}", value)
    with pytest.raises(SinkError, match=r"rclone to rclone:home:pictures/attic ended with code"):
        send(seen, open_target("rclone:home:pictures/attic"), FAST)
    assert MOTO and not (seen / LEDGER).exists()
    server = subprocess.Popen([MOTO, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(1000):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            threading.Event().wait(0.02)
        assert send(seen, open_target("rclone:home:pictures/attic"), FAST).pictures == 25
        line = ["rclone", "lsf", "home:pictures/attic"]
        listed = subprocess.run(line, capture_output=True, text=True, timeout=60)
        assert set(listed.stdout.split()) == expected()
        assert send(seen, open_target("rclone:home:pictures/attic"), FAST).pictures == 0
    finally:
        server.kill()
        server.wait()
