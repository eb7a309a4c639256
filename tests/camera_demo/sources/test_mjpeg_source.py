"""Cameras that send JPEG pictures over HTTP: a server that stalls, cuts, changes its mind and asks for a login."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera_demo.capture_format import CaptureFormat
from camera_demo.errors import SourceError
from camera_demo.frames import CapturedFrame
from camera_demo.run_state import RunState
from camera_demo.sinks.page import PageSink
from camera_demo.source_status import SourceStatus
from camera_demo.sources import open_source
from camera_demo.sources.jpeg_splitter import JpegSplitter
from camera_demo.sources.mjpeg import MjpegSource, opener
from camera_demo.stop import Stop
from camera_demo.uri import parse_source
from tests.camera_demo.sources.mjpeg_camera import HEAD, Send, camera, jpeg, part, stream
from tests.edge.file_server import certificate


def levels(frames: list[CapturedFrame]) -> list[int]:
    """The grey of each frame, to the nearest ten."""
    return [round(float(frame.image.mean()) / 10) * 10 for frame in frames]


def one_at_a_time(*pictures: bytes) -> object:
    """Sends each picture when the one before was taken."""
    taken = threading.Semaphore(0)

    def send_all(send: Send, end: threading.Event) -> None:
        send(HEAD)
        for picture in pictures:
            send(picture)
            taken.acquire(timeout=10)

    send_all.taken = taken  # type: ignore[attr-defined]
    return send_all


def take(source: MjpegSource, behaviour: object, count: int) -> list[CapturedFrame]:
    frames, found = source.frames(Stop()), []
    for _ in range(count):
        found.append(next(frames))
        behaviour.taken.release()  # type: ignore[attr-defined]
    return found


def test_every_picture_comes_whatever_the_boundary_and_lengths_say() -> None:
    thumbnail = jpeg(200)
    sent = one_at_a_time(
        part(jpeg(10)),
        part(jpeg(20), boundary="another"),
        part(jpeg(30), length=None),
        part(jpeg(40), length=7),
        part(jpeg(50, exif=thumbnail)),
        part(jpeg(60)).replace(b"\r\n--", b"\n--").replace(b"\r\n\r\n", b"\n\n"),
        jpeg(70),
        b"\0\0 noise" + part(jpeg(80)),
    )
    with camera(sent) as cam, closing(MjpegSource(f"http://127.0.0.1:{cam.port}/stream")) as source:  # type: ignore[arg-type]
        frames = take(source, sent, 8)
    assert levels(frames) == [10, 20, 30, 40, 50, 60, 70, 80]
    assert [frame.index for frame in frames] == list(range(8))
    assert frames[0].image.shape == (48, 64, 3)
    assert cam.requests[0].startswith("GET /stream HTTP/1.1\r\n")


def test_chunked_answers_are_read() -> None:
    def chunked(send: Send, end: threading.Event) -> None:
        send(HEAD.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"))
        data = part(jpeg(10)) + part(jpeg(20))
        for place in range(0, len(data), 100):
            piece = data[place : place + 100]
            send(b"%x\r\n" % len(piece) + piece + b"\r\n")
        end.wait()

    with camera(chunked) as cam, closing(MjpegSource(f"http://127.0.0.1:{cam.port}/")) as source:
        assert levels([next(source.frames(Stop()))])[0] in (10, 20)


def test_nobody_waits_for_what_comes_behind_a_whole_picture() -> None:
    taken = threading.Semaphore(0)

    def chunked(send: Send, end: threading.Event) -> None:
        send(HEAD.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"))
        for level in (10, 20, 30):
            data = part(jpeg(level)) + b"--frame\r\n"
            send(b"%x\r\n" % len(data) + data + b"\r\n")
            taken.acquire(timeout=10)

    chunked.taken = taken  # type: ignore[attr-defined]
    with camera(chunked) as cam, closing(MjpegSource(f"http://127.0.0.1:{cam.port}/", silent_s=60)) as source:
        assert levels(take(source, chunked, 3)) == [10, 20, 30]


def test_the_newest_picture_counts() -> None:
    burst = [part(jpeg(10 * n)) for n in range(1, 25)]
    with camera(stream(burst)) as cam:
        source = open_source(parse_source(f"http://127.0.0.1:{cam.port}/stream"), SourceStatus("cam"))
        with closing(source):
            frames = source.frames(Stop())
            first = next(frame for frame in frames if frame is not None)
            while levels([first]) != [240]:
                first = next(frame for frame in frames if frame is not None)
    assert levels([first]) == [240]


def test_a_picture_that_is_cut_by_the_next_is_left_out() -> None:
    whole = jpeg(90)
    sent = [part(whole)[: 60 + len(whole) // 2] + b"\r\n" + part(jpeg(120)), part(b"\xff\xd8\xff junk \xff\xd9")]
    with camera(stream(sent)) as cam, closing(MjpegSource(f"http://127.0.0.1:{cam.port}/stream")) as source:
        assert levels([next(source.frames(Stop()))]) == [120]


@pytest.mark.parametrize("login", ["basic", "digest", "sha256", "several"])
def test_a_login_is_sent_to_who_asks_for_it(login: str) -> None:
    with camera(stream([part(jpeg(10))]), login=login) as cam:
        with closing(MjpegSource(f"http://me:p%40ss@127.0.0.1:{cam.port}/a?b=c")) as source:
            assert levels([next(source.frames(Stop()))]) == [10]
        assert "Authorization" not in cam.requests[0]
        for password, told in (
            (":wrong@", "check user and password. In USER"),
            ("", "give user and password, as in http"),
        ):
            with pytest.raises(SourceError, match=r"refuses access \(401\): " + told) as refused:
                MjpegSource(f"http://{'me' if password else ''}{password}127.0.0.1:{cam.port}/secret")
            assert "wrong" not in str(refused.value) and "secret" not in str(refused.value)


def test_a_certificate_that_nobody_trusts_is_told(tmp_path: Path) -> None:
    context, _ = certificate(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as line, contextlib.suppress(OSError):
                context.wrap_socket(line, server_side=True).close()

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(SourceError, match=r"cannot be trusted: .*\. Use http://, or set SSL_CERT_FILE"):
            MjpegSource(f"https://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join()


def test_a_login_of_a_kind_that_is_not_known_is_refused_in_words() -> None:
    with camera(stream([]), login="Bearer") as cam, pytest.raises(SourceError, match=r"refuses access \(401\)"):
        MjpegSource(f"http://me:secret@127.0.0.1:{cam.port}/")


def test_a_login_does_not_follow_to_another_place() -> None:
    with camera(stream([part(jpeg(10))])) as there:
        head = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{there.port}/x\r\nContent-Length: 0\r\n\r\n"
        with camera(lambda send, end: send(head.encode())) as here:
            MjpegSource(f"http://me:secret@127.0.0.1:{here.port}/").close()
        there.login = "basic"
        with camera(lambda send, end: send(head.encode())) as here, pytest.raises(SourceError, match="401"):
            MjpegSource(f"http://me:p%40ss@127.0.0.1:{here.port}/")
    assert all("Authorization" not in request for request in there.requests)


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", r"is not there (404): the camera answers, but has no such"),
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", r"is busy (503): many cameras serve one viewer at a time."),
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", r"refuses the stream: it answers with HTTP status 500."),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>", "is a web page, not a stream of pictures: find"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n", "sends one picture (image/jpeg), not a stream."),
        (b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n", "sends video/mp4, which is not a stream of JPEG"),
        (b"SSH-2.0-OpenSSH\r\n", "answers, but not as a web server does."),
        (b"", "answers, but not as a web server does."),
        (HEAD, "gives no picture: the camera hung up."),
        (HEAD + part(b"no picture"), "gives no picture: the camera hung up."),
        (HEAD + 30 * part(b"\xff\xd8\xff\xd9"), "gives no picture: the camera hung up."),
        (b"HTTP/1.1 200 OK\r\nContent-Type: ;;\r\n\r\n", "which is not a stream"),
        (b"HTTP/1.1 302 Found\r\nLocation: ftp://127.0.0.1:1/x\r\n\r\n", "cannot be reached"),
        (b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n", "it answers with HTTP status 302"),
    ],
)  # fmt: skip
def test_each_answer_has_its_own_words(head: bytes, told: str) -> None:
    with camera(lambda send, end: send(head)) as cam, pytest.raises(SourceError) as refused:
        MjpegSource(f"http://me:secret@127.0.0.1:{cam.port}/secret?secret", no_picture_s=5)
    message = str(refused.value)
    assert message.startswith(f"http://***@127.0.0.1:{cam.port}/*** ") and told in message
    assert "secret" not in message and "\n" not in message


def test_nobody_there_is_told_and_what_was_meant_for_the_page() -> None:
    with pytest.raises(SourceError, match=r"connection refused. Check the address and that the camera is on.$"):
        MjpegSource("http://127.0.0.1:9/stream")
    with pytest.raises(SourceError, match=r"it is an output: name the input before it, e.g. camera-demo 0 http"):
        MjpegSource("http://127.0.0.1:9")
    with pytest.raises(SourceError, match="cannot be reached: there is no host of this name"):
        MjpegSource("http://nowhere.invalid/")


def test_a_camera_that_falls_silent_or_trickles_is_given_up() -> None:
    silent = stream([part(jpeg(10)), b"--frame\r\n"])
    with camera(silent) as cam, closing(MjpegSource(f"http://127.0.0.1:{cam.port}/", silent_s=0.3)) as source:
        frames = source.frames(Stop())
        next(frames)
        with pytest.raises(SourceError, match=r"/ broke off after 1 frames: nothing came for 0.3 s\.$"):
            next(frames)

    def trickle(send: Send, end: threading.Event) -> None:
        send(HEAD + part(jpeg(10)))
        while not end.wait(0.02):
            send(b"\xff\xd8")

    with camera(trickle) as cam, closing(MjpegSource(f"http://127.0.0.1:{cam.port}/", no_picture_s=0.5)) as source:
        frames = source.frames(Stop())
        next(frames)
        with pytest.raises(SourceError, match="no picture that can be decoded came in"):
            next(frames)


def test_a_camera_that_never_answers_is_told() -> None:
    told = r"does not answer in time. Is the camera on, and on this network\?"
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(SourceError, match=told):
        MjpegSource(f"http://127.0.0.1:{silent.getsockname()[1]}/", silent_s=0.3)


def test_asked_to_stop_nobody_waits_for_a_camera_that_is_silent() -> None:
    with camera(stream([part(jpeg(10))])) as cam:
        source = MjpegSource(f"http://127.0.0.1:{cam.port}/", silent_s=600)
        stop, frames = Stop(), list[CapturedFrame]()
        with closing(source):
            for frame in source.frames(stop):
                frames.append(frame)
                stop_soon = threading.Timer(0.2, stop.request)
                stop_soon.start()
            stop_soon.join()
    assert levels(frames) == [10]


def test_endless_bytes_without_a_picture_take_no_endless_memory() -> None:
    splitter = JpegSplitter(most_bytes=1_000_000)
    for _ in range(100):
        assert splitter.feed(bytes(100_000)) == []
    splitter.feed(b"\xff\xd8\xff\xda\0\2")
    with pytest.raises(ValueError, match="no whole JPEG picture in 1 MB"):
        for _ in range(100):
            splitter.feed(bytes(100_000))


def test_a_picture_that_claims_to_be_huge_is_not_decoded() -> None:
    picture = bytearray(jpeg(10))
    place = picture.index(b"\xff\xc0") + 5
    picture[place : place + 4] = b"\xff\xdc\xff\xdc"
    sent = [part(bytes(picture)), part(jpeg(20))]
    with camera(stream(sent)) as cam, closing(MjpegSource(f"http://127.0.0.1:{cam.port}/")) as source:
        assert levels([next(source.frames(Stop()))]) == [20]


@pytest.mark.timeout(60)
def test_a_stream_that_is_cut_goes_on_when_the_camera_is_back() -> None:
    def cut(send: Send, end: threading.Event) -> None:
        send(HEAD + part(jpeg(10)) + part(jpeg(20))[:300])

    with camera(cut, lambda send, end: None, stream([part(jpeg(90))])) as cam:
        status = SourceStatus("cam")
        source = open_source(parse_source(f"http://me:secret@127.0.0.1:{cam.port}/stream"), status)
        with closing(source):
            frames = source.frames(Stop())
            deadline_s = time.monotonic() + 30
            seen: list[CapturedFrame] = []
            while 90 not in levels(seen) and time.monotonic() < deadline_s:
                seen += [frame for frame in [next(frames)] if frame is not None]
        assert levels(seen)[-1] == 90
        assert [frame.index for frame in seen] == sorted({frame.index for frame in seen})
        assert (status.now.state, status.now.losses) == ("live", 1)
        assert status.now.name == f"http://***@127.0.0.1:{cam.port}/***"


def test_a_page_of_this_program_is_a_camera_too(run_state: RunState, make_result: object) -> None:
    for token in (None, "a-token/of some%length"):
        page = PageSink("127.0.0.1", 0, run_state, token=token)
        try:
            page.show(make_result(0))  # type: ignore[operator]
            login = "" if token is None else f":{quote(token, safe='')}@"
            source = opener(f"http://{login}127.0.0.1:{page.port}/stream.mjpg", CaptureFormat())(Stop())
            with closing(source):
                assert next(frame for frame in source.frames(Stop()) if frame is not None).image.shape == (48, 64, 3)
            for wrong in ("", "", ":other@") if token else ():
                with pytest.raises(SourceError, match=r"\(401\): give its token as the password, as in http://:TOKEN@"):
                    opener(f"http://{wrong}127.0.0.1:{page.port}/stream.mjpg", CaptureFormat())(Stop())
        finally:
            page.close()


def test_a_token_does_not_follow_to_another_place() -> None:
    with camera(stream([part(jpeg(10))]), login="Bearer") as there:
        head = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{there.port}/x\r\nContent-Length: 0\r\n\r\n"
        with camera(lambda send, end: send(head.encode())) as here, pytest.raises(SourceError, match="401"):
            MjpegSource(f"http://:secret@127.0.0.1:{here.port}/")
    assert there.requests and all("secret" not in request for request in there.requests)


NOISE = st.binary(max_size=30).filter(lambda data: b"\xff" not in data)


@settings(deadline=None)
@given(
    parts=st.lists(st.tuples(NOISE, st.integers(0, 25), st.booleans()), max_size=5),
    cuts=st.lists(st.integers(1, 400), min_size=1, max_size=8),
)
def test_pictures_are_found_however_the_bytes_fall(parts: list[tuple[bytes, int, bool]], cuts: list[int]) -> None:
    pictures = [jpeg(10 * level, exif=jpeg(0) if has_thumbnail else b"") for _, level, has_thumbnail in parts]
    data = b"".join(noise + picture for (noise, _, _), picture in zip(parts, pictures, strict=True))
    splitter, found, place, turn = JpegSplitter(), list[bytes](), 0, 0
    while place < len(data):
        step = cuts[turn % len(cuts)]
        found += splitter.feed(data[place : place + step])
        place, turn = place + step, turn + 1
    assert found == pictures


@settings(deadline=None)
@given(data=st.binary(max_size=400))
def test_nonsense_between_pictures_breaks_nothing(data: bytes) -> None:
    splitter = JpegSplitter()
    splitter.feed(b"\xff\xd8" + data)
    for picture in splitter.feed(2 * b"\xff\xd9" + b"\r\n" + part(jpeg(10))):
        cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
