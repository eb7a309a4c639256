"""A file server for tests that behaves as badly as it is told, request by request."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Behave = Callable[["Handler"], None]
"""Answers one request."""


class Handler(BaseHTTPRequestHandler):
    """One request. The server's ``content`` is the file, and the next of its ``behaviours`` answers."""

    server: FileServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.requests.append(dict(self.headers.items()))
        waiting = self.server.behaviours
        behave = waiting.pop(0) if waiting else honest
        self.close_connection = True
        with contextlib.suppress(ConnectionError):
            behave(self)

    def begin(self, status: int, **headers: object) -> None:
        """The answer's head; ``Content_Length`` for ``Content-Length``."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


class FileServer(ThreadingHTTPServer):
    """Serves one file."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, content: bytes, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.etag = content, '"one"'
        self.behaviours: list[Behave] = []
        self.requests: list[dict[str, str]] = []
        self.scheme = "http"
        if context is not None:
            self.scheme = "https"
            self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}/file"

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing of clients that hang up."""


@contextlib.contextmanager
def serving(content: bytes, *behaviours: Behave, context: ssl.SSLContext | None = None) -> Iterator[FileServer]:
    """A server at work, whose first answers are ``behaviours`` and the others honest."""
    with FileServer(content, context) as server:
        server.behaviours = list(behaviours)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def answer_by_path(server: FileServer, files: Mapping[str, bytes], *behaviours: Behave) -> None:
    """Lets a server have ``files``: the next requests get ``behaviours``, each with the file that it names."""

    def by_path(behave: Behave) -> Behave:
        def answer(handler: Handler) -> None:
            content = files.get(handler.path)
            handler.server.content = content or b""
            (behave if content is not None else says(404))(handler)

        return answer

    server.behaviours = [by_path(one) for one in behaviours] + [by_path(honest)] * 40


def honest(handler: Handler) -> None:
    """The file, or the rest of it, as RFC 9110 has it."""
    _answer(handler, cut=None)


def cut_after(count: int) -> Behave:
    """Promises all, and hangs up after ``count`` bytes."""
    return lambda handler: _answer(handler, cut=count)


def stalls_after(count: int, release: threading.Event) -> Behave:
    """Goes silent after ``count`` bytes, until ``release``."""

    def behave(handler: Handler) -> None:
        _answer(handler, cut=count)
        handler.wfile.flush()
        release.wait(20)

    return behave


def ignores_range(handler: Handler) -> None:
    """The whole file, whatever is asked."""
    handler.begin(200, Content_Length=len(handler.server.content), ETag=handler.server.etag)
    handler.wfile.write(handler.server.content)


def says(status: int, **headers: object) -> Behave:
    """An answer without a body."""
    return lambda handler: handler.begin(status, **{"Content_Length": 0} | headers)


def moved(url: str) -> Behave:
    """Sends elsewhere."""
    return says(302, Location=url)


def becomes(content: bytes, behave: Behave = honest) -> Behave:
    """The file changes before this request."""

    def changed(handler: Handler) -> None:
        handler.server.content, handler.server.etag = content, '"two"'
        behave(handler)

    return changed


def _answer(handler: Handler, cut: int | None) -> None:
    content, etag = handler.server.content, handler.server.etag
    asked = handler.headers.get("Range")
    start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
    if handler.headers.get("If-Range", etag) != etag:
        start, asked = 0, None
    if asked and start >= len(content):
        handler.begin(416, Content_Length=0, Content_Range=f"bytes */{len(content)}")
        return
    headers: dict[str, object] = {"Content_Length": len(content) - start, "ETag": etag}
    if asked:
        headers["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
    handler.begin(206 if asked else 200, **headers)
    handler.wfile.write(content[start:] if cut is None else content[start:][:cut])


def certificate(folder: Path, names: Sequence[str] = ("127.0.0.1",)) -> tuple[ssl.SSLContext, Path]:
    """A server's context for HTTPS on this machine, and the file with the certificate that a client has to trust."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(n)) for n in names]), False)
        .sign(key, hashes.SHA256())
    )
    file, secret = folder / "certificate.pem", folder / "key.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, secret)
    return context, file
