"""Files from servers that stall, cut, lie, change their minds or send elsewhere."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from filelock import FileLock

from edge.errors import DownloadError, OutputError
from edge.updates.download import Limits, check_url, download
from tests.edge.file_server import (
    Behave,
    FileServer,
    Handler,
    becomes,
    certificate,
    cut_after,
    honest,
    ignores_range,
    moved,
    says,
    serving,
    stalls_after,
)

CONTENT: Final = bytes(range(256)) * 2000
OTHER: Final = CONTENT[::-1]
IMPORTS: Final = "from pathlib import Path; from edge.updates.download import download; "
QUICK: Final = Limits(timeout_s=0.3, tries=3, pause_s=0.25, gain_bytes=1000, spare_bytes=0)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fetch(url: str, to: Path, **options: Any) -> list[float]:
    """Downloads, and gives the pauses between the tries."""
    pauses: list[float] = []
    usual: dict[str, Any] = {"limits": QUICK, "sleep": pauses.append}
    download(url, to, **usual | options)
    return pauses


def complaint(url: str, to: Path, **options: Any) -> str:
    with pytest.raises(DownloadError) as refused:
        fetch(url, to, **options)
    return str(refused.value)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A server's side of HTTPS, and the certificate a client has to trust."""
    return certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "in" / "file.bin"


def test_a_file_comes_whole_and_leaves_nothing_beside_it(to: Path) -> None:
    told: list[tuple[str, float]] = []
    with serving(CONTENT) as server:
        assert fetch(server.url, to, progress=lambda *said: told.append(said)) == []
    assert to.read_bytes() == CONTENT
    assert names(to.parent) == ["file.bin"]
    assert told[-1] == ("0.5 of 0.5 MB", 1.0)
    assert server.requests[0]["Accept-Encoding"] == "identity"


def test_what_is_already_there_is_not_fetched_again(to: Path) -> None:
    with serving(CONTENT) as server:
        fetch(server.url, to, expected_sha256=sha256(CONTENT).upper())
        fetch(server.url, to, expected_sha256=sha256(CONTENT))
        assert len(server.requests) == 1


def test_what_was_there_before_gives_way_only_to_the_right_file(to: Path) -> None:
    to.parent.mkdir()
    to.write_bytes(b"before")
    with serving(CONTENT) as server:
        told = complaint(server.url, to, expected_sha256=sha256(OTHER))
        assert told == (
            f"{server.url} is not the file expected: its SHA-256 is {sha256(CONTENT)}, expected {sha256(OTHER)}."
        )
        assert (to.read_bytes(), names(to.parent)) == (b"before", ["file.bin"])
        fetch(server.url, to)
    assert to.read_bytes() == CONTENT


class TestInterruptions:
    def test_a_cut_costs_only_what_had_not_come(self, to: Path) -> None:
        with serving(CONTENT, cut_after(100_000), cut_after(150_000)) as server:
            assert fetch(server.url, to) == [0.25, 0.25]
        assert to.read_bytes() == CONTENT
        assert [request.get("Range") for request in server.requests] == [None, "bytes=100000-", "bytes=250000-"]
        assert {request["If-Range"] for request in server.requests[1:]} == {'"one"'}

    def test_silence_is_a_cut(self, to: Path) -> None:
        release = threading.Event()
        with serving(CONTENT, stalls_after(100_000, release)) as server:
            fetch(server.url, to)
            release.set()
        assert to.read_bytes() == CONTENT
        assert server.requests[1]["Range"] == "bytes=100000-"

    def test_a_trickle_is_a_cut(self, to: Path) -> None:
        def trickles(handler: Handler) -> None:
            handler.begin(200, Content_Length=len(CONTENT), ETag='"one"')
            for n in range(200):
                handler.wfile.write(CONTENT[n : n + 1])
                time.sleep(0.02)

        with serving(CONTENT, trickles) as server:
            fetch(server.url, to)
        assert to.read_bytes() == CONTENT
        assert server.requests[1]["Range"].startswith("bytes=")

    def test_the_next_call_goes_on_where_this_one_gave_up(self, to: Path) -> None:
        cuts = [cut_after(100_000), cut_after(0), cut_after(0)]
        with serving(CONTENT, *cuts) as server:
            told = complaint(server.url, to)
            assert told == (
                f"Cannot fetch {server.url}: the connection ended after 100000 of 512000 bytes, 3 times in a row. "
                "0.1 MB are kept: the next try resumes there."
            )
            assert names(to.parent) == [".file.bin.part", ".file.bin.part.json"]
            fetch(server.url, to)
            assert server.requests[-1]["Range"] == "bytes=100000-"
        assert to.read_bytes() == CONTENT
        assert names(to.parent) == ["file.bin"]

    def test_tries_without_gain_are_counted_and_come_ever_later(self, to: Path) -> None:
        pauses: list[float] = []
        with serving(CONTENT, *[cut_after(0)] * 9) as server:
            complaint(server.url, to, sleep=pauses.append)
            assert (len(server.requests), pauses) == (3, [0.25, 0.5])

    def test_a_server_that_asks_for_time_gets_it_within_reason(self, to: Path) -> None:
        with serving(CONTENT, says(503, Retry_After=7), says(429, Retry_After=86400)) as server:
            assert fetch(server.url, to) == [7.0, 60.0]
        assert to.read_bytes() == CONTENT

    def test_nobody_there(self, to: Path) -> None:
        told = complaint("http://127.0.0.1:9/file", to)
        assert told == "Cannot fetch http://127.0.0.1:9/file: connection refused, 3 times in a row."

    def test_an_unknown_host_is_told_at_once(self, to: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        lookups = []

        def look_up(*place: object, **options: object) -> object:
            lookups.append(place)
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        told = complaint("https://nowhere.invalid/file", to)
        assert told.startswith("Cannot fetch https://nowhere.invalid/file: there is no host nowhere.invalid. Check the")
        assert len(lookups) == 1

    @pytest.mark.parametrize(
        ("behave", "told"),
        [
            (says(404), "the server answered 404 Not Found, nothing is there. Check the address."),
            (says(403), "the server answered 403 Forbidden, access without a login is refused."),
            (says(400), "the server answered 400 Bad Request."),
        ],
    )
    def test_a_plain_no_is_not_asked_again(self, to: Path, behave: Behave, told: str) -> None:
        with serving(CONTENT, behave) as server:
            assert complaint(server.url, to) == f"Cannot fetch {server.url}: {told}"
            assert len(server.requests) == 1


class TestLies:
    def test_a_server_that_knows_no_range_sends_it_again_from_the_start(self, to: Path) -> None:
        with serving(CONTENT, cut_after(100_000), ignores_range) as server:
            fetch(server.url, to)
        assert to.read_bytes() == CONTENT

    def test_a_file_that_changes_between_two_tries_is_fetched_whole(self, to: Path) -> None:
        with serving(CONTENT, cut_after(100_000), becomes(OTHER)) as server:
            fetch(server.url, to)
        assert to.read_bytes() == OTHER

    def test_two_halves_of_two_versions_are_found_out_and_fetched_anew(self, to: Path) -> None:
        """A server that forgets its ETag, and one that gives no heed to If-Range."""

        def joins(handler: Handler) -> None:
            start = int(handler.headers["Range"].removeprefix("bytes=").rstrip("-"))
            head = {"Content_Length": len(OTHER) - start, "Content_Range": f"bytes {start}-511999/512000"}
            handler.begin(206, **head)
            handler.wfile.write(OTHER[start:])

        with serving(CONTENT, cut_after(100_000), joins, becomes(OTHER)) as server:
            fetch(server.url, to, expected_sha256=sha256(OTHER))
            assert len(server.requests) == 3
        assert to.read_bytes() == OTHER

    def test_another_versions_rest_is_not_taken(self, to: Path) -> None:
        def joins(handler: Handler) -> None:
            handler.begin(206, Content_Length=10, Content_Range="bytes 100000-100009/100010", ETag='"two"')
            handler.wfile.write(b"x" * 10)

        with serving(CONTENT, cut_after(100_000), joins) as server:
            fetch(server.url, to)
        assert to.read_bytes() == CONTENT

    def test_without_etag_or_date_only_a_checksum_allows_to_go_on(self, to: Path) -> None:
        def cut(handler: Handler) -> None:
            handler.begin(200, Content_Length=len(CONTENT))
            handler.wfile.write(CONTENT[:100_000])

        for checksum, asked in ((None, None), (sha256(CONTENT), "bytes=100000-")):
            with serving(CONTENT, cut) as server:
                fetch(server.url, to, expected_sha256=checksum)
                assert server.requests[1].get("Range") == asked
            assert to.read_bytes() == CONTENT
            to.unlink()

    def test_a_rest_beyond_the_end_begins_anew(self, to: Path) -> None:
        with serving(CONTENT, cut_after(400_000), becomes(OTHER[:300_000], says(416))) as server:
            fetch(server.url, to)
        assert to.read_bytes() == OTHER[:300_000]

    def test_the_wrong_part_is_not_taken(self, to: Path) -> None:
        wrong = says(206, Content_Range="bytes 5-9/512000", Content_Length=5)
        with serving(CONTENT, cut_after(100_000), wrong) as server:
            fetch(server.url, to)
        assert to.read_bytes() == CONTENT

    def test_less_than_promised_again_and_again_is_no_file(self, to: Path) -> None:
        def promises(handler: Handler) -> None:
            handler.begin(200, Content_Length=len(CONTENT) + 1000, ETag='"one"')
            handler.wfile.write(CONTENT)

        with serving(CONTENT, *[promises] * 3) as server:
            assert "the connection ended after 512000 of 513000 bytes" in complaint(server.url, to)
        assert not to.exists()

    def test_more_than_promised_is_left(self, to: Path) -> None:
        def overflows(handler: Handler) -> None:
            handler.begin(200, Content_Length=len(CONTENT), ETag='"one"')
            handler.wfile.write(CONTENT + b"more")

        with serving(CONTENT, overflows) as server:
            fetch(server.url, to)
        assert to.read_bytes() == CONTENT

    def test_a_compressed_answer_is_not_the_file(self, to: Path) -> None:
        with serving(CONTENT, *[says(200, Content_Encoding="gzip")] * 3) as server:
            assert "sent it as gzip" in complaint(server.url, to)

    @pytest.mark.parametrize("length", [{}, {"Content_Length": 512_000}])
    def test_an_unexpected_size_is_another_file(self, to: Path, length: dict[str, int]) -> None:
        def serves(handler: Handler) -> None:
            handler.begin(200, **length)
            handler.wfile.write(CONTENT)

        with serving(CONTENT, *[serves] * 3) as server:
            told = complaint(server.url, to, expected_bytes=600_000)
        ended = "the connection ended after 512000 of 600000 bytes"
        assert ended in told if not length else told.endswith("512000 bytes, expected 600000: it is another file.")

    @pytest.mark.parametrize("length", [{}, {"Content_Length": 512_000}])
    def test_an_endless_file_is_left(self, to: Path, length: dict[str, int]) -> None:
        def serves(handler: Handler) -> None:
            handler.begin(200, **length)
            handler.wfile.write(CONTENT)

        with serving(CONTENT, serves) as server:
            told = complaint(server.url, to, limits=Limits(max_bytes=1000))
        assert "1000" in told
        assert "allowed" in told


class TestTrust:
    def test_https_with_a_trusted_certificate(self, to: Path, secure: tuple[ssl.SSLContext, Path]) -> None:
        context, file = secure
        with serving(CONTENT, cut_after(100_000), context=context) as server:
            fetch(server.url, to, context=ssl.create_default_context(cafile=str(file)))
        assert to.read_bytes() == CONTENT
        assert server.url.startswith("https://")

    def test_a_certificate_of_ones_own_is_taken_from_the_environment(
        self, to: Path, secure: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        context, file = secure
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        with serving(CONTENT, context=context) as server:
            fetch(server.url, to)
        assert to.read_bytes() == CONTENT

    def test_certificates_are_read_once_and_only_where_they_are_needed(
        self, to: Path, secure: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made, create = list[ssl.SSLContext](), ssl.create_default_context

        def counted() -> ssl.SSLContext:
            made.append(create())
            return made[-1]

        monkeypatch.setattr(ssl, "create_default_context", counted)
        with serving(CONTENT, cut_after(100_000)) as plain:
            fetch(plain.url, to)
        assert not made
        context, file = secure
        with serving(CONTENT, *[cut_after(100_000)] * 2, context=context) as server:
            with serving(CONTENT, moved(server.url)) as plain:
                assert "its certificate is not trusted" in complaint(plain.url, to.with_name("other"))
            assert len(made) <= 1, "what was read before still holds"
            monkeypatch.setenv("SSL_CERT_FILE", str(file))
            before = len(made)
            fetch(server.url, to.with_name("third"))
            assert len(made) == before + 1
            os.utime(file, (1, 1))
            with serving(CONTENT, *[moved(server.url)] * 3) as plain:
                fetch(plain.url, to.with_name("fourth"))
        assert len(made) == before + 2, "the file was replaced"

    def test_an_unknown_certificate_is_refused_at_once(self, to: Path, secure: tuple[ssl.SSLContext, Path]) -> None:
        with serving(CONTENT, context=secure[0]) as server:
            told = complaint(server.url, to)
        assert told == (
            f"Cannot fetch {server.url}: its certificate is not trusted (self-signed certificate). Check this "
            "machine's clock; to trust a certificate of your own, set SSL_CERT_FILE."
        )

    def test_no_way_leads_from_https_to_http(self, to: Path, secure: tuple[ssl.SSLContext, Path]) -> None:
        context, file = secure
        with serving(CONTENT) as plain, serving(CONTENT, moved(plain.url), context=context) as server:
            told = complaint(server.url, to, context=ssl.create_default_context(cafile=str(file)))
            assert told == (
                f"{server.url} redirects to another address: {plain.url} is not encrypted: expected https://."
            )
            assert plain.requests == []

    @pytest.mark.parametrize(
        ("url", "told"),
        [
            ("http://example.com/x", " redirects to another address: http://example.com/x is not encrypted"),
            ("ftp://example.com/x", "ftp://example.com/x is not encrypted"),
            ("file:///etc/passwd", "Redirection to url 'file:///etc/passwd' is not allowed"),
        ],
    )
    def test_no_way_leads_to_what_may_not_be_asked_directly(self, to: Path, url: str, told: str) -> None:
        with serving(CONTENT, moved(url)) as server:
            assert told in complaint(server.url, to)

    def test_a_way_to_another_place_is_taken_with_the_range(self, to: Path) -> None:
        with serving(CONTENT, cut_after(100_000)) as there, serving(b"", *[moved(there.url)] * 2) as server:
            fetch(server.url, to)
            assert there.requests[1]["Range"] == "bytes=100000-"
        assert to.read_bytes() == CONTENT

    def test_going_round_in_circles_ends(self, to: Path) -> None:
        with serving(CONTENT) as server:
            server.behaviours = [moved(server.url)] * 20
            assert complaint(server.url, to).startswith(f"Cannot fetch {server.url}: the server answered 302")

    @pytest.mark.parametrize(
        "url", ["", "file.zip", "https://", "https:///x", "https://[::1", "https://h:x/", "https://h/a b", "https://ä/"]
    )
    def test_what_is_no_address_is_refused(self, url: str) -> None:
        with pytest.raises(DownloadError, match="Invalid address"):
            check_url(url)

    def test_an_at_sign_in_a_path_is_none_of_a_login(self) -> None:
        check_url("https://cdn.example.com/gh/birds/model@1.2/birds.zip")

    @pytest.mark.parametrize("url", ["http://example.com/x", "ftp://h/x", "http://127.0.0.1.example.com/"])
    def test_what_anybody_could_change_is_refused(self, url: str) -> None:
        with pytest.raises(DownloadError, match="is not encrypted"):
            check_url(url)

    @pytest.mark.parametrize(
        "url",
        [
            "https://me:secret@example.com/x",
            "https://me:secret@[::1/x",
            "https://me:secret@example.com:x/",
            "https://me:secret@example.com/a b",
            "https://me:secret/x@example.com/x",
            "https://me:/secret@example.com/x",
            "http://me/secret@example.com/x",
            "https://me:secret",
            "me:secret@example.com/x.zip",
            "http://example.com/x?token=secret",
            "https://example.com/a b?token=secret#secret",
        ],
    )
    def test_a_secret_in_an_address_is_not_printed(self, url: str) -> None:
        with pytest.raises(DownloadError) as refused:
            check_url(url)
        assert "secret" not in str(refused.value)

    def test_a_secret_in_a_query_is_sent_but_not_printed(self, to: Path) -> None:
        with serving(CONTENT, says(404)) as server:
            message = complaint(f"{server.url}?token=secret", to)
            assert message.startswith(f"Cannot fetch {server.url}?***: the server answered 404 Not Found")
            fetch(f"{server.url}?token=secret", to)


class TestProxies:
    @pytest.fixture(autouse=True)
    def proxy(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        with serving(CONTENT) as proxy:
            for scheme in ("http", "https", "all"):
                monkeypatch.setenv(f"{scheme}_proxy", proxy.url.removesuffix("/file"))
            yield proxy

    def test_this_machine_is_reached_directly(
        self, to: Path, proxy: FileServer, secure: tuple[ssl.SSLContext, Path]
    ) -> None:
        context, file = secure
        with serving(OTHER) as plain, serving(OTHER, context=context) as server:
            fetch(plain.url, to)
            fetch(server.url, to, context=ssl.create_default_context(cafile=str(file)))
            assert len(plain.requests) == len(server.requests) == 1
        assert proxy.requests == []

    def test_other_machines_are_reached_through_the_proxy(self, to: Path) -> None:
        message = complaint("https://example.invalid/file", to)
        assert "tunnel connection failed: 501" in message

    def test_no_proxy_is_heeded(self, to: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("no_proxy", "example.invalid")
        assert "tunnel" not in complaint("https://example.invalid/file", to)


class TestDisks:
    def test_too_little_room_is_told_before_anything_is_fetched(
        self, to: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 400_000))
        with serving(CONTENT) as server, pytest.raises(OutputError) as refused:
            fetch(server.url, to)
        assert str(refused.value) == f"Cannot write {to}: 0 MB are free and 1 MB needed. Free some space."
        assert not to.exists()

    def test_a_disk_that_fills_gets_its_room_back(self, to: Path) -> None:
        """Enforced by the kernel, in a process whose files may have 300 kB."""
        with serving(CONTENT) as server:
            code = f"{IMPORTS}download({server.url!r}, Path({str(to)!r}))"
            limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))  # noqa: E731
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, preexec_fn=limit)
        assert f"OutputError: Cannot write {to}: file too large." in done.stderr
        assert names(to.parent) == []

    def test_a_place_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "in").write_text("a file")
        with pytest.raises(OutputError, match="is not a folder"):
            fetch("http://127.0.0.1:9/file", tmp_path / "in" / "file.bin")

    def test_two_do_not_fetch_to_the_same_place(self, to: Path) -> None:
        to.parent.mkdir()
        with FileLock(to.parent / ".file.bin.lock"):
            told = complaint("http://127.0.0.1:9/file", to)
        assert told == f"Another process is fetching {to}: wait until it has ended."

    def test_a_link_in_place_of_the_part_file_is_not_followed(self, to: Path) -> None:
        to.parent.mkdir()
        (other := to.parent / "important").write_text("root:important")
        (to.parent / ".file.bin.part").symlink_to(other)
        with serving(CONTENT) as server, pytest.raises(OutputError, match="too many levels of symbolic links"):
            fetch(server.url, to)
        assert other.read_text() == "root:important"

    @pytest.mark.parametrize("note", ["", "{", "[]", '{"url": 5}', '{"url": "https://else.where/file"}'])
    def test_a_beginning_of_something_else_does_not_count(self, to: Path, note: str) -> None:
        to.parent.mkdir()
        (to.parent / ".file.bin.part").write_bytes(OTHER[:1000])
        (to.parent / ".file.bin.part.json").write_text(note)
        with serving(CONTENT) as server:
            fetch(server.url, to)
            assert "Range" not in server.requests[0]
        assert to.read_bytes() == CONTENT


@pytest.fixture
def slow_server() -> Iterator[Any]:
    """Takes about a second for the file, in small pieces."""

    class Slow(NamedTuple):
        whole: Any

        def write(self, data: bytes) -> None:
            for n in range(0, len(data), 20_000):
                self.whole(data[n : n + 20_000])
                time.sleep(0.02)

        def flush(self) -> None:
            """Nothing waits."""

    def slowly(handler: Handler) -> None:
        whole, handler.wfile = handler.wfile, Slow(handler.wfile.write)  # type: ignore[assignment]
        try:
            honest(handler)
        finally:
            handler.wfile = whole

    with serving(CONTENT, *[slowly] * 50) as server:
        yield server


def test_a_process_killed_while_fetching_loses_nothing(to: Path, slow_server: Any) -> None:
    to.parent.mkdir()
    code = f"{IMPORTS}download({slow_server.url!r}, Path({str(to)!r}), expected_sha256={sha256(CONTENT)!r})"
    part = to.parent / ".file.bin.part"
    for at_least in (50_000, 200_000, 350_000):
        process = subprocess.Popen([sys.executable, "-c", code])
        while not (part.exists() and part.stat().st_size >= at_least):
            assert process.poll() is None
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not to.exists()
    subprocess.run([sys.executable, "-c", code], check=True)
    assert to.read_bytes() == CONTENT
    assert names(to.parent) == ["file.bin"]
    starts = [int(request.get("Range", "bytes=0-")[6:-1]) for request in slow_server.requests]
    assert starts == sorted(starts)
    assert starts[-1] >= 350_000
