"""Whatever people, files and networks say, the answer is a value or one clear line: never another exception."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from camera_demo.actions.gpio import pin_of
from camera_demo.actions.rules import QuietHours, parse_rule
from camera_demo.capture_format import CaptureFormat
from camera_demo.config import read_config, settings_of
from camera_demo.events import Span
from camera_demo.region import Region
from camera_demo.run_state import RunState
from camera_demo.sinks.broker import broker_of
from camera_demo.sinks.page import PageSink
from camera_demo.source_status import SourceStatus
from camera_demo.sources.synthetic import opener as synthetic_opener
from camera_demo.uri import SINKS, SOURCES, parse_sink, parse_source
from camera_demo.web.address import address_of
from camera_demo.web.guard import is_local_name
from edge.bundles.bundle import open_bundle
from edge.bundles.manifest import read_manifest
from edge.errors import EdgeError
from edge.profiling.profile import load_profile

SCHEMES = [scheme.name for scheme in (*SOURCES, *SINKS)] + ["file", "rtsps", "mqtts", "ftp", ""]
ADDRESSES = st.one_of(
    st.text(max_size=80),
    st.builds(
        lambda scheme, slashes, rest: f"{scheme}:{slashes}{rest}",
        st.sampled_from(SCHEMES),
        st.sampled_from(["", "/", "//", "///"]),
        st.one_of(st.text(max_size=60), st.from_regex(r"[a-z0-9:@/?#\[\]%.,=&*+-]{0,40}", fullmatch=True)),
    ),
)


def is_one_clear_line(error: EdgeError) -> bool:
    return len(str(error)) > 10 and "Traceback" not in str(error)


@pytest.mark.parametrize(
    "parse",
    [
        parse_source,
        parse_sink,
        broker_of,
        address_of,
        Region.parse,
        is_local_name,
        Span.parse,
        QuietHours.parse,
        pin_of,
        lambda text: parse_rule({"run": text}),
    ],
)
@given(text=ADDRESSES)
@example(text="\0")
@example(text="x" * 5000)
@example(text="http://[::1")
@example(text="rtsp://u:p@[")
@example(text="file://" + "/a" * 3000)
@example(text="1" * 5000)
@example(text="\ud800")
@example(text="²")
def test_an_address(parse: Callable[[str], object], text: str) -> None:
    try:
        parse(text)
    except EdgeError as error:
        assert is_one_clear_line(error)


@given(text=st.one_of(st.text(max_size=30), st.from_regex(r"\d{0,9}x\d{0,9}@\d{0,9}(\.\d{0,9})?", fullmatch=True)))
def test_the_options_of_a_synthetic_source(text: str) -> None:
    try:
        synthetic_opener(text, CaptureFormat())
    except EdgeError as error:
        assert is_one_clear_line(error)


KEYS = st.sampled_from(["input", "outputs", "fps", "top_k", "wait", "input_flip", "threshold", "smoothing", "nonsense"])
TOML_VALUES = st.sampled_from(
    [
        '""',
        '"0"',
        "[]",
        '["json:-"]',
        "1",
        "-1",
        "1e999",
        "nan",
        "inf",
        "true",
        "{}",
        "[1]",
        "1979-05-27",
        '"\\u0000"',
        "0x10",
    ]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@given(
    data=st.one_of(
        st.binary(max_size=200),
        st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.lists(st.tuples(KEYS, TOML_VALUES), max_size=6).map(
            lambda pairs: "\n".join(f"{key} = {value}" for key, value in pairs).encode()
        ),
    )
)
@example(data=b"a = " + b"[" * 5000)
@example(data=b"input = '''")
def test_a_configuration(folder: Path, data: bytes) -> None:
    path = folder / "config.toml"
    path.write_bytes(data)
    try:
        settings_of(read_config(path), {})
    except EdgeError as error:
        assert is_one_clear_line(error)


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(min_value=10**30, max_value=10**400),
        st.floats(),
        st.text(max_size=20),
        st.sampled_from(["../../etc/passwd", "/etc/passwd", "a\\b", "", "\0", "mobilenet_v1_0.50_160"]),
    ),
    lambda children: st.one_of(
        st.lists(children, max_size=4), st.dictionaries(st.text(max_size=8), children, max_size=4)
    ),
    max_leaves=12,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield from places(child, (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of ``value`` with something else in one place."""
    if not path:
        return new
    copy = deepcopy(value)
    at = copy
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    return copy


MANIFEST = json.loads((open_bundle("demo").root / "manifest.json").read_text())
MANIFEST_PLACES = list(places(MANIFEST))


@given(path=st.sampled_from(MANIFEST_PLACES), new=JSON)
@example(path=("golden", "inputs"), new={"x": []})
@example(path=("golden", "answers"), new={"x": [[[1e9, 2]]]})
@example(path=("golden", "pictures", 0, "file"), new="../../x.png")
def test_a_manifest_with_something_else_in_one_place(path: tuple[Any, ...], new: Any) -> None:
    values = changed(MANIFEST, path, new)
    if not isinstance(values, dict):
        return
    try:
        manifest = read_manifest(values, Path("manifest.json"))
    except EdgeError as error:
        assert is_one_clear_line(error)
        return
    for entry in manifest.files():
        assert not Path(entry.file).is_absolute() and ".." not in Path(entry.file).parts


PROFILE = json.loads(min((Path(__file__).parents[2] / "profiles").glob("[!s]*.json")).read_text())


@given(path=st.sampled_from(list(places(PROFILE))), new=JSON)
def test_a_profile_with_something_else_in_one_place(folder: Path, path: tuple[Any, ...], new: Any) -> None:
    file = folder / "profile.json"
    file.write_text(json.dumps(changed(PROFILE, path, new)), encoding="utf-8", errors="surrogatepass")
    try:
        load_profile(file)
    except EdgeError as error:
        assert is_one_clear_line(error)


@given(data=st.binary(max_size=300))
@example(data=b"{" * 3000)
@example(data=b'{"a":' * 2000)
@example(data=b"\xef\xbb\xbf{}")
@example(data=b"1" * 5000)
def test_files_that_are_no_json(folder: Path, data: bytes) -> None:
    (folder / "bundle").mkdir(exist_ok=True)
    for place in (folder / "bundle/manifest.json", folder / "profile.json"):
        place.write_bytes(data)
    for read in (lambda: open_bundle(folder / "bundle"), lambda: load_profile(folder / "profile.json")):
        with pytest.raises(EdgeError) as raised:
            read()
        assert is_one_clear_line(raised.value)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    page = PageSink("127.0.0.1", 0, RunState(SourceStatus("feed")), token="a token of some length")
    yield page.port
    page.close()


LINES = st.sampled_from(
    [
        b"GET / HTTP/1.1", b"PUT /api/control HTTP/1.1", b"GET /?token=x HTTP/1.1", b"POST / HTTP/1.0", b"GET",
        b"Host: 127.0.0.1", b"Host:", b"Cookie: camera-demo=\xff\xfe", b"Cookie: =;;=,\"", b"Authorization: Bearer \xe9",  # noqa: E501
        b"Content-Length: -1", b"Content-Length: 99999999999999999999", b"Transfer-Encoding: chunked", b"Origin: http://[",
        b"Content-Length: \xc2\xb2", b"Expect: 100-continue", b"Upgrade: websocket", b"", b"5\r\nhello", b"zz", b"{}",
    ]
)  # fmt: skip


@given(
    data=st.one_of(
        st.binary(max_size=300), st.lists(LINES, max_size=8).map(lambda lines: b"\r\n".join(lines) + b"\r\n\r\n")
    )
)
@example(data=b"GET /" + b"a" * 40_000)
@example(data=b"GET / HTTP/1.0\r\nOrigin: a://[\r\n\r\n")
@example(data=b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5000)
def test_a_request(port: int, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(12)
        except (ConnectionError, TimeoutError):
            answer = b""
    assert not answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 5")), answer
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 503", "it goes on answering: that it has no answer yet"
