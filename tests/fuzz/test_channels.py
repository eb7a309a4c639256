"""Channel files, states and envelopes with anything in them: a value or one clear line, never another exception."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge.errors import ChannelError, EdgeError, SignatureError
from edge.fleet.channel import parse_channel, to_payload
from edge.fleet.config import configured_channel
from edge.fleet.rings import Board, parse_ring
from edge.fleet.signed import key_id, open_envelope
from edge.fleet.state import FollowState, Trust, read_state, state_file, write_state
from tests.edge.fleet.test_channel import KEY, channel, release
from tests.fuzz.test_parsers import JSON, changed, is_one_clear_line, places

CHANNEL = json.loads(to_payload(channel(release(1), release(2, label="x", not_before="2026-12-01T02:00:00Z"))))
ENVELOPE = {
    "payload": "{}",
    "signatures": [{"keyid": key_id(KEY), "signature": base64.b64encode(bytes(64)).decode()}],
}
STATE = FollowState(
    board_id="b",
    labels={"0" * 16: "x"},
    trust=Trust(configured=("a",), address="b", sha256="c", created="2026-11-27T17:20:00Z", keys=(KEY,)),
).to_dict()


@given(path=st.sampled_from(list(places(CHANNEL))), new=JSON)
@example(path=("created",), new="0001-01-01T00:00:00+23:59")
@example(path=("expires",), new="9999-12-31T23:59:59-23:59")
@example(path=("releases", 0, "url"), new="\ud800")
@example(path=("releases", 0, "rings", 1, "percent"), new=float("nan"))
def test_a_channel_with_something_else_in_one_place(path: tuple[Any, ...], new: Any) -> None:
    text = json.dumps(changed(CHANNEL, path, new))
    try:
        found = parse_channel(text, "Channel file x")
    except ChannelError as error:
        assert is_one_clear_line(error)
        return
    assert parse_channel(to_payload(found), "x") == found


@given(path=st.sampled_from(list(places(ENVELOPE))), new=JSON)
@example(path=("payload",), new="\ud800")
def test_an_envelope_with_something_else_in_one_place(path: tuple[Any, ...], new: Any) -> None:
    with pytest.raises((ChannelError, SignatureError)) as error:
        open_envelope(json.dumps(changed(ENVELOPE, path, new)).encode(), [KEY], "Channel file x")
    assert is_one_clear_line(error.value)


@given(
    content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode(errors="replace")))
)
@example(content=b"[" * 100_000)
@example(content=b'{"payload": ' + b"9" * 10_000 + b"}")
def test_bytes_that_are_no_channel(content: bytes) -> None:
    with pytest.raises((ChannelError, SignatureError)) as error:
        open_envelope(content, [KEY], "Channel file x")
    assert is_one_clear_line(error.value)


@given(path=st.sampled_from(list(places(STATE))), new=JSON)
def test_a_state_with_something_else_in_one_place(
    tmp_path_factory: pytest.TempPathFactory, path: tuple[Any, ...], new: Any
) -> None:
    folder = tmp_path_factory.getbasetemp() / "state"
    folder.mkdir(exist_ok=True)
    state_file(folder).write_text(json.dumps(changed(STATE, path, new)))
    try:
        found = read_state(folder)
    except ChannelError as error:
        assert is_one_clear_line(error)
        return
    assert found is not None
    write_state(found, folder)


@given(text=st.text(max_size=60) | st.from_regex(r"[a-z]{0,3}=?@?[a-z0-9.,%@-]{0,12}", fullmatch=True))
def test_a_ring(text: str) -> None:
    try:
        ring = parse_ring(text)
    except ValueError:
        return
    assert (ring.percent is None) == bool(ring.groups)


@given(name=st.text(max_size=100))
def test_a_boards_name_can_be_a_topic_and_a_file(name: str) -> None:
    try:
        board = Board(id=name)
    except ValueError:
        return
    assert not set(board.id) & set("/+# \n\0")
    assert board.id not in (".", "..")


@given(data=st.binary(max_size=100) | st.sampled_from([b"url = 1979-05-27", b"url = [1]", b"broker = ''", b"[url]"]))
def test_a_configuration(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path: Path = tmp_path_factory.getbasetemp() / "channel.toml"
    path.write_bytes(data)
    try:
        configured_channel(path)
    except EdgeError as error:
        assert is_one_clear_line(error)
