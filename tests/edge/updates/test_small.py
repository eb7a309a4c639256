"""Small files, read whole and with the server's time, or not at all."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from edge.errors import DownloadError, WrongFileError
from edge.updates.download import Limits, read_small
from tests.edge.file_server import Handler, cut_after, moved, says, serving

QUICK = Limits(timeout_s=2.0, tries=3, pause_s=0.0)


def test_a_file_and_the_servers_time() -> None:
    with serving(b"hello") as server:
        found = read_small(server.url, max_bytes=5, limits=QUICK)
    assert found.content == b"hello"
    assert found.date is not None
    assert abs(found.date - datetime.now(timezone.utc)) < timedelta(hours=1)


def test_what_may_pass_is_tried_again() -> None:
    with serving(b"hello", says(503), cut_after(2)) as server:
        assert read_small(server.url, max_bytes=5, limits=QUICK, sleep=lambda s: None).content == b"hello"
        server.behaviours = [cut_after(2)] * 3
        with pytest.raises(DownloadError, match=r"the connection ended after 2 of 5 bytes, 3 times in a row\."):
            read_small(server.url, max_bytes=5, limits=QUICK, sleep=lambda s: None)


def endless(handler: Handler) -> None:
    handler.begin(200)
    for _ in range(1000):
        handler.wfile.write(b"x" * 1000)


def odd_date(handler: Handler) -> None:
    handler.send_response_only(200)
    handler.send_header("Date", "yesterday")
    handler.send_header("Content-Length", "1")
    handler.end_headers()
    handler.wfile.write(b"x")


def test_what_is_too_long_is_not_read_to_its_end() -> None:
    with serving(b"hello", endless) as server:
        with pytest.raises(WrongFileError, match="more than the 5000 bytes allowed"):
            read_small(server.url, max_bytes=5000, limits=QUICK)
        with pytest.raises(WrongFileError, match="more than the 4 bytes allowed"):
            read_small(server.url, max_bytes=4, limits=QUICK)


def test_a_date_that_is_none() -> None:
    with serving(b"", odd_date) as server:
        assert read_small(server.url, max_bytes=5, limits=QUICK).date is None


def cached(handler: Handler) -> None:
    handler.send_response_only(200)
    handler.send_header("Date", "Fri, 27 Nov 2026 17:00:00 GMT")
    handler.send_header("Age", "1200")
    handler.send_header("Content-Length", "1")
    handler.end_headers()
    handler.wfile.write(b"x")


def test_a_cache_keeps_the_date_of_the_original() -> None:
    with serving(b"", cached) as server:
        assert read_small(server.url, max_bytes=5, limits=QUICK).date == datetime(
            2026, 11, 27, 17, 20, tzinfo=timezone.utc
        )


def test_no_way_leads_to_plain_http() -> None:
    with pytest.raises(DownloadError, match="is not encrypted"):
        read_small("http://example.com/x", max_bytes=5)
    with (
        serving(b"", moved("http://example.com/x")) as server,
        pytest.raises(DownloadError, match="is not encrypted"),
    ):
        read_small(server.url, max_bytes=5, limits=QUICK)
