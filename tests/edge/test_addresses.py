from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from edge.addresses import (
    Address,
    is_like_address,
    is_this_machine,
    may_use_proxy,
    redacted,
    split_address,
    without_secrets,
)

PLACES = [
    "rtsp://me:{}@cam/live",
    "rtsp://{}@cam/live",
    "rtsp://{}:{}@cam:554/live",
    "rtsp://me:{}@[::1]:554/live",
    "rtsp://cam/{}",
    "rtsp://cam/live/{}/1",
    "rtsp://cam/user=admin&password={}&channel=1.sdp",
    "rtsp://cam/live?pwd={}",
    "rtsp://cam?{}",
    "rtsp://cam/live#{}",
    "rtsp://10.0.0.1/live?user=a@b&pwd={}",
    "rtsp://me:@10.0.0.1/live@{}",
    "http://cam:81/stream?token={}",
    "mqtt://{}:x@broker/attic",
    "mqtt://broker/{}",
    "mqtt://broker/attic?pwd={}",
    "rtsp://me:{}@cam:99999/live",
    "rtsp://me:{}@cam:port/live",
    "rtsp://me:{}@/live",
    "rtsp://me:{}",
    "rtsp://me:x{}@",
    "rtsp:me:{}@cam/live",
    "rtsp:/me:{}@cam/live",
    "rtsp//me:{}@cam/live",
    "me:{}@cam/live",
    "{}@cam/live",
    "192.168.1.7/{}/live",
    "cam:554/{}",
    "cam/live?pwd={}",
    "cam/user=admin&password={}",
    " rtsp://cam/{}",
    "'rtsp://cam/{}'",
]
"""Where people put a secret, rightly or wrongly."""


@pytest.mark.parametrize("place", PLACES)
@settings(deadline=None)
@given(secret=st.text(min_size=4, max_size=12))
@example(secret="s3c/ret")
@example(secret="s3c#ret")
@example(secret="s3c?ret")
@example(secret="s3c[ret")
@example(secret="s3c@ret")
@example(secret="s3c]r:et")
@example(secret="/s3cret")
@example(secret="s3cret/")
@example(secret="12/34@567")
@example(secret="123456")
@example(secret="a@1.2.3.4/b")
@example(secret="s3 cret\n")
@example(secret="a://b")
def test_a_secret_is_shown_in_no_place(place: str, secret: str) -> None:
    assume(secret not in place + "Address(scheme=None, host=None, port=None)")
    is_place = "@" in secret or re.match(r"\d{1,5}(?:[/?#]|$)", secret) is not None
    assume(place != "rtsp://me:{}" or not is_place)  # which is a host and a port then
    assume(not place.startswith("{}") or "://" not in secret)  # which is another address then
    text = place.replace("{}", secret)
    shown = redacted(text)
    assert not any(piece in shown for piece in pieces(secret, place)), shown
    try:
        assert secret not in repr(split_address(text))
    except ValueError as error:
        assert not any(piece in str(error).replace(shown, "") for piece in pieces(secret, place) if len(piece) > 8)
        assert "\n" not in str(error).replace(shown, "")


def pieces(secret: str, place: str) -> list[str]:
    """The secret, and what its own punctuation leaves of it: the longer ones, which nothing else holds."""
    for mark in "/?#@:[]%&=":
        secret = secret.replace(mark, " ")
    return [piece for piece in secret.split() if len(piece) >= 3 and piece not in place + "***"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://cam", "rtsp://cam"),
        ("rtsp://cam:554/", "rtsp://cam:554/"),
        ("rtsp://cam/live", "rtsp://cam/***"),
        ("rtsp://cam?x", "rtsp://cam/***"),
        ("rtsp://me:secret@[fe80::1%eth0]:554/live", "rtsp://***@[fe80::1%eth0]:554/***"),
        ("mqtt://token@broker", "mqtt://***@broker"),
        ("https://bücher.example/x", "https://bücher.example/***"),
        ("rtsp://cam:99999/live", "rtsp://***"),
        ("rtsp://a..b/live", "rtsp://***"),
        (f"rtsp://{'a' * 64}/live", "rtsp://***"),
        ("rtsp://me%3Asecret%40cam/live", "rtsp://***"),
        ("nowhere.mp4", "nowhere.mp4"),
        ("photos/IMG_?.jpg", "photos/IMG_?.jpg"),
        ("2026-11-25T10:30:00.mp4", "2026-11-25T10:30:00.mp4"),
        ("usb:0", "usb:0"),
        ("v1.2.3.4.mp4", "v1.2.3.4.mp4"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert redacted(text) == shown


def test_a_path_is_shown_where_it_holds_no_secret() -> None:
    assert redacted("https://h/birds.zip", with_path=True) == "https://h/birds.zip"
    assert redacted("https://h/birds.zip?token=s#f", with_path=True) == "https://h/birds.zip?***"
    assert redacted("https://me:s/x@h/birds.zip", with_path=True) == "https://***"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("rtsp://cam", Address(scheme="rtsp", host="cam")),
        ("RTSP://Cam:554/Live", Address(scheme="rtsp", host="cam", port=554, path="/Live")),
        (
            "rtsp://me:p%40%2Fss@cam/a/b?c=d#e",
            Address(scheme="rtsp", host="cam", user="me", password="p@/ss", path="/a/b", query="c=d", fragment="e"),
        ),
        ("rtsp://me:p@s[s:w]@cam", Address(scheme="rtsp", host="cam", user="me", password="p@s[s:w]")),
        ("rtsp://me@cam", Address(scheme="rtsp", host="cam", user="me")),
        ("rtsp://me:@cam", Address(scheme="rtsp", host="cam", user="me", password="")),
        ("http://[::1]:81/stream", Address(scheme="http", host="::1", port=81, path="/stream")),
        ("rtsp://10.0.0.1/user=a&password=p@ss", Address(scheme="rtsp", host="10.0.0.1", path="/user=a&password=p@ss")),
    ],
)
def test_the_parts_of_an_address(text: str, parts: Address) -> None:
    assert split_address(text) == parts


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://me:s/x@cam/live", "rtsp://me:s#x@cam/live", "rtsp://me:s?x@cam/live", "rtsp://me:1/x@cam/live",
        "rtsp://me:s@x/y@cam", "rtsp://cam:99999", "rtsp://cam:x", "rtsp:///live", "rtsp://me:s@",
        "rtsp://[::1", "rtsp://[x]/",
    ],
)  # fmt: skip
def test_what_cannot_be_told_apart_is_refused_with_the_way_to_write_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"Cannot tell user, password, host and port apart in .* / as %2F, #"):
        split_address(text)


@pytest.mark.parametrize("text", ["rtsp://", "rtsp:///"])
def test_a_scheme_alone_is_told_what_it_lacks(text: str) -> None:
    message = "'rtsp://' names no host: expected rtsp://USER:PASSWORD@HOST:PORT/PATH."
    with pytest.raises(ValueError) as refused:
        split_address(text)
    assert str(refused.value) == message
    assert without_secrets(message, [text]) == message


@pytest.mark.parametrize("text", ["rtsp://cam/a b", "rtsp://cam/a\r\nX: y", "rtsp://cam/\ud800", "rtsp://cam/\0"])
def test_no_control_character_is_sent_to_anybody(text: str) -> None:
    with pytest.raises(ValueError, match="holds a space or a control character"):
        split_address(text)


def test_where_nobody_logs_in_an_at_sign_belongs_to_the_path() -> None:
    assert split_address("https://cdn/gh/x@1.2/y", may_log_in=False).path == "/gh/x@1.2/y"
    assert split_address("https://[::1]/", may_log_in=False).host_and_port == "[::1]"


@pytest.mark.parametrize(
    ("text", "given", "shown"),
    [
        ("no number: rtsp://me:secret@cam/x.", "rtsp://me:secret@cam/x", "no number: rtsp://***@cam/***."),
        ("no file rtsp:/me:secret@cam/x.", "rtsp://me:secret@cam/x", "no file rtsp://***@cam/***."),
        ("no folder me:secret@cam/x.", "json:rtsp://me:secret@cam/x", "no folder ***."),
        ("no file https:/me:secret", "https://me:secret@h/x", "no file https:/***"),
        ("no 'https://h/x?token=secret'", "--bundle=https://h/x?token=secret", "no 'https://h/***'"),
        ("no 'secret@cam' and me:secret@cam", "me:secret@cam", "no '***' and ***"),
        ("no 'http://***@h/***' as rtsp://tom@h/b", "rtsp://tom@h/b", "no 'http://***@h/***' as rtsp://***@h/***"),
        ("synthetic:5x5@30 makes no picture", "synthetic:5x5@30", "synthetic:5x5@30 makes no picture"),
        ("no file photo@2x.png", "photo@2x.png", "no file photo@2x.png"),
    ],
)
def test_what_was_given_is_hidden_in_any_message(text: str, given: str, shown: str) -> None:
    assert without_secrets(text, ["x", given]) == shown


@pytest.mark.parametrize(
    "command",
    [
        ["camera_demo", "--fps", "rtsp://me:s3cret@cam/s3cret"],
        ["camera_demo", "demo", "--roi", "rtsp://me:s3cret@cam", "--log-format", "json"],
        ["camera_demo", "demo", "json:rtsp://me:s3cret@cam/x"],
        ["camera_demo", "demo", "--config", "rtsp://me:s3cret@cam"],
        ["edge", "classify", "rtsp://me:s3cret@cam/x"],
        ["edge", "bundle", "info", "https://me:s3cret@h/x?token=s3cret"],
        ["edge", "doctor", "rtsp://me:s3cret@cam"],
    ],
)
def test_no_command_prints_a_secret_that_stands_in_a_wrong_place(command: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, timeout=120)
    assert done.returncode in (1, 2)
    assert "s3cret" not in done.stdout + done.stderr


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", ["a", "pass", "a:", "a.", "@", "&", "?a", "://", "1.", "a-", "/"])
def test_long_arguments_take_no_endless_time(piece: str) -> None:
    text = piece * (60_000 // len(piece))
    redacted(text)
    redacted(f"rtsp://{text}/{text}")
    without_secrets("a message", [text, f"x:{text}"])


def test_an_address_written_wrong_is_known() -> None:
    assert is_like_address("rtsp//cam/live") and not is_like_address("clips/live.mp4")


def test_a_proxy_sees_nothing_that_it_could_read_and_nothing_of_this_machine() -> None:
    assert all(map(is_this_machine, ("localhost", "LOCALHOST", "127.0.0.1", "127.8.8.8", "::1", "[::1]")))
    assert not any(map(is_this_machine, ("127.0.0.1.example.com", "localhost.example.com", "10.0.0.1", "", "::2")))
    assert may_use_proxy("https", "example.com")
    assert not may_use_proxy("http", "example.com") and not may_use_proxy("https", "localhost")
