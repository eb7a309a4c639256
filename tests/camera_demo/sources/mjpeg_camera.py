"""A camera on this machine that sends JPEG pictures over HTTP, and misbehaves as it is told."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

__all__ = ["Camera", "Send", "camera", "jpeg", "part", "stream"]

Send = Callable[[bytes], None]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=frame\r\n\r\n"


def jpeg(level: int, *, exif: bytes = b"") -> bytes:
    """A grey picture, with other bytes in its header where asked."""
    _, data = cv2.imencode(".jpg", np.full((48, 64, 3), level, np.uint8))
    picture = data.tobytes()
    return picture[:2] + (b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif if exif else b"") + picture[2:]


def part(picture: bytes, boundary: str = "frame", *, length: int | None = -1) -> bytes:
    """A picture as a part of a multipart answer; its length right, another one, or left out."""
    size = len(picture) if length == -1 else length
    says = b"" if size is None else b"Content-Length: %d\r\n" % size
    return b"--%s\r\nContent-Type: image/jpeg\r\n%s\r\n" % (boundary.encode(), says) + picture + b"\r\n"


def stream(pictures: Sequence[bytes], head: bytes = HEAD) -> Callable[[Send, threading.Event], None]:
    """Sends these, and then nothing more until the camera ends."""

    def send_all(send: Send, end: threading.Event) -> None:
        send(head + b"".join(pictures))
        end.wait()

    return send_all


@dataclass
class Camera:
    """What a camera sends to each visitor in turn, and what they asked."""

    behaviours: list[Callable[[Send, threading.Event], None]]
    login: str = ""
    """``basic`` or ``digest``: what it asks of ``me:p@ss``; empty for nothing."""
    requests: list[str] = field(default_factory=list)
    visits: int = 0
    port: int = 0

    def answer(self, connection: socket.socket, end: threading.Event) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            data = connection.recv(4096)
            if not data:
                return
            request += data
        self.requests.append(request.decode("latin-1"))
        if self.login and not self._may_enter(request.decode("latin-1")):
            digest = 'Digest realm="cam", nonce="abc", qop="auth"'
            asks = {
                "basic": ['Basic realm="cam"'],
                "digest": [digest],
                "sha256": [f"{digest}, algorithm=SHA-256"],
                "several": [f"{digest}, algorithm=SHA-512-256", f"{digest}, algorithm=MD5", 'Basic realm="cam"'],
            }
            lines = "".join(f"WWW-Authenticate: {ask}\r\n" for ask in asks.get(self.login, [self.login]))
            connection.sendall(f"HTTP/1.1 401 No\r\n{lines}Content-Length: 0\r\n\r\n".encode())
            return
        self.visits += 1
        self.behaviours[min(self.visits, len(self.behaviours)) - 1](connection.sendall, end)

    def _may_enter(self, request: str) -> bool:
        if self.login == "basic":
            return f"Basic {base64.b64encode(b'me:p@ss').decode()}" in request
        fields = dict(re.findall(r'(\w+)="?([^",\r]+)"?', request.partition("Digest ")[2]))
        if "response" not in fields:
            return False
        digest = hashlib.sha256 if self.login == "sha256" else hashlib.md5
        one, two = (digest(text.encode()).hexdigest() for text in ("me:cam:p@ss", f"GET:{fields['uri']}"))
        answer = f"{one}:abc:{fields['nc']}:{fields['cnonce']}:auth:{two}"
        return bool(fields["response"] == digest(answer.encode()).hexdigest())


@contextlib.contextmanager
def camera(*behaviours: Callable[[Send, threading.Event], None], login: str = "") -> Iterator[Camera]:
    """A camera that treats its visitors so, the last way for all that follow."""
    listener, end, threads = socket.create_server(("127.0.0.1", 0)), threading.Event(), list[threading.Thread]()
    made = Camera(list(behaviours), login, port=listener.getsockname()[1])

    def visit(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            made.answer(connection, end)

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=visit, args=(connection,), daemon=True))
            threads[-1].start()

    threads.append(threading.Thread(target=run, daemon=True))
    threads[0].start()
    yield made
    end.set()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for thread in threads:
        thread.join(5)
