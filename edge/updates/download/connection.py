"""One request for a file or the rest of one: what is sent, which answers are accepted, and which failures may pass."""

from __future__ import annotations

import functools
import http.client
import re
import socket
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPMessage
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

from edge.addresses import is_this_machine, may_use_proxy, redacted, split_address
from edge.errors import DownloadError, MissingFileError, os_reason

__all__ = [
    "Answer",
    "Interrupted",
    "Limits",
    "Unsatisfiable",
    "broken",
    "check_url",
    "connect",
    "default_context",
    "shown",
]

_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses that may change soon."""
_MISSING: Final = (404, 410)
_ADVICE: Final = {
    401: "a login is required",
    403: "access without a login is refused",
    404: "nothing is there. Check the address",
    410: "it was removed. Check the address",
}
_LONGEST_WAIT_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long to wait, how often to try, and how much to take."""

    timeout_s: float = 20.0
    """Silence after which a connection counts as dead; so does one slower than ``least_bytes`` in that time."""
    least_bytes: int = 2_000
    tries: int = 5
    """Failures in a row before giving up; a failure after at least ``gain_bytes`` of progress starts a new count."""
    gain_bytes: int = 64_000
    pause_s: float = 1.0
    """Before the second try; it doubles with each one."""
    max_bytes: int = 4_000_000_000
    """The largest file to accept."""
    spare_bytes: int = 20_000_000
    """What has to stay free on the disk."""


class Interrupted(Exception):  # noqa: N818 - reads as what happened
    """A request that failed, while the next one may succeed."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
        """How long the server asks to wait."""


class Unsatisfiable(Interrupted):
    """The file has no such rest: it is shorter than the part that is here, or another version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A server's answer, ready to be read."""

    body: http.client.HTTPResponse
    start: int
    """Which byte of the file comes first: 0 where the server sends all of it, whatever was asked."""
    total: int | None
    """Bytes of the whole file; None if the server does not say."""
    validator: str | None
    """What identifies this version of the file: a strong ETag or, without one, the time of its last change."""


def check_url(url: str) -> None:
    """Refuse an address that cannot be downloaded from safely.

    Raises:
        DownloadError: It is neither ``https://`` nor ``http://`` on this machine, or not an address.
    """
    try:
        parts = split_address(url, may_log_in=False)
    except ValueError as reason:
        raise DownloadError(f"Invalid address: {reason}") from None
    if parts.user is not None:
        raise DownloadError("An address with a user or password in it is not supported: expected https://HOST/PATH.")
    if not url.isascii():
        raise DownloadError(f"Invalid address {shown(url)!r}: expected https://HOST/PATH.")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_this_machine(parts.host)):
        raise DownloadError(f"{shown(url)} is not encrypted, so it could be changed on the way: expected https://.")


def shown(source: str) -> str:
    """A file's name or address, for messages: of an address not what may hold a secret. Its path stays as it is.

    >>> shown("https://example.com/birds.zip?token=secret")
    'https://example.com/birds.zip?***'
    """
    return redacted(source, with_path=True) if "://" in source else source


def connect(url: str, start: int, validator: str | None, limits: Limits, context: ssl.SSLContext | None) -> Answer:
    """Request a file from byte ``start`` on.

    Args:
        url: Its address.
        start: How many bytes of it are here.
        validator: The version of those bytes; the server sends another version whole.
        limits: How long to wait.
        context: Which certificates to trust; None for the system's, or those in ``SSL_CERT_FILE``.

    Raises:
        Interrupted: Another try may succeed.
        Unsatisfiable: The server does not send the file from this byte on.
        DownloadError: No other try can succeed.
    """
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity", "User-Agent": "mobilenet-edge"})
    if start:
        request.add_header("Range", f"bytes={start}-")
        if validator is not None:
            request.add_header("If-Range", validator)
    try:
        opener = urllib.request.build_opener(_Encrypted(context), _SafeRedirects(), _Proxies())
        body = opener.open(request, timeout=limits.timeout_s)
    except DownloadError:
        raise
    except urllib.error.HTTPError as refusal:
        raise _refused(url, refusal) from refusal
    except urllib.error.URLError as failure:
        raise _unreached(url, failure) from failure
    except (OSError, http.client.HTTPException) as failure:
        raise broken(failure) from failure
    try:
        return _understood(body, start, validator)
    except Interrupted:
        body.close()
        raise


def broken(failure: Exception) -> Interrupted:
    """The interruption that a broken connection is."""
    return Interrupted(f"the connection failed ({str(failure) or type(failure).__name__})")


def default_context() -> ssl.SSLContext:
    """What trusts the system's certificates, or those in ``SSL_CERT_FILE``; made once, and again where they change.

    Reading them takes a tenth of a second.
    """
    place = ssl.get_default_verify_paths().cafile
    try:
        changed_ns = Path(place).stat().st_mtime_ns if place else 0
    except OSError:
        changed_ns = 0
    return _made_context(place, changed_ns)


@functools.lru_cache(maxsize=1)
def _made_context(place: str | None, changed_ns: int) -> ssl.SSLContext:
    return ssl.create_default_context()


class _Encrypted(urllib.request.HTTPSHandler):
    """Opens encrypted addresses, those that others redirect to as well; a context is made for the first."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        urllib.request.AbstractHTTPHandler.__init__(self)  # that of the class between them makes a context
        self._trusting = context

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(http.client.HTTPSConnection, req, context=self._trusting or default_context())


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from an encrypted address to one that is not."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        try:
            check_url(newurl)
            if req.type == "https" and not newurl.lower().startswith("https:"):
                raise DownloadError(f"{shown(newurl)} is not encrypted: expected https://.")
        except DownloadError as reason:
            fp.close()
            raise DownloadError(f"{shown(req.full_url)} redirects to another address: {reason}") from reason
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Proxies(urllib.request.ProxyHandler):
    """The environment's proxies, for encrypted addresses of other machines only."""

    def proxy_open(self, req: urllib.request.Request, proxy: str, type: str) -> http.client.HTTPResponse | None:
        if not may_use_proxy(req.type, urlsplit(req.full_url).hostname or ""):
            return None  # the next handler connects directly
        opened: http.client.HTTPResponse | None = super().proxy_open(req, proxy, type)
        return opened


def _understood(body: http.client.HTTPResponse, start: int, validator: str | None) -> Answer:
    """The part of the file that an answer holds.

    Raises:
        Interrupted: The answer contradicts itself, or holds something else than was requested.
    """
    headers = body.headers
    found = _validator(headers)
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Interrupted(f"the server sent it as {headers['Content-Encoding']}, which was not requested")
    length = _number(headers.get("Content-Length"))
    if body.status == 206:
        part = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", headers.get("Content-Range", "").strip())
        if part is None or int(part[1]) != start or (validator and found not in (None, validator)):
            raise Unsatisfiable("the server sent another part of it than was requested")
        return Answer(body=body, start=start, total=_number(part[3]), validator=found)
    if body.status != 200:
        raise Interrupted(f"the server answered {body.status} {body.reason}")
    return Answer(body=body, start=0, total=length, validator=found)


def _validator(headers: Message) -> str | None:
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified")


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _refused(url: str, refusal: urllib.error.HTTPError) -> Exception:
    refusal.close()
    status = " ".join(f"{refusal.code} {refusal.reason}".split())
    if refusal.code == 416:
        return Unsatisfiable(f"the server answered {status}")
    if refusal.code in _PASSING:
        wait_s = float(_number(refusal.headers.get("Retry-After")) or 0)
        return Interrupted(f"the server answered {status}", min(wait_s, _LONGEST_WAIT_S))
    advice = _ADVICE.get(refusal.code)
    kind = MissingFileError if refusal.code in _MISSING else DownloadError
    return kind(f"Cannot fetch {shown(url)}: the server answered {status}{f', {advice}' if advice else ''}.")


def _unreached(url: str, failure: urllib.error.URLError) -> Exception:
    reason = failure.reason
    if isinstance(reason, ssl.SSLCertVerificationError):
        return DownloadError(
            f"Cannot fetch {shown(url)}: its certificate is not trusted ({reason.verify_message}). Check this "
            "machine's clock; to trust a certificate of your own, set SSL_CERT_FILE."
        )
    if isinstance(reason, socket.gaierror) and reason.errno != socket.EAI_AGAIN:
        host = urlsplit(url).hostname
        proxies = urllib.request.getproxies()
        proxy = "" if "https" not in proxies else " Or the proxy in https_proxy is unknown."
        return DownloadError(
            f"Cannot fetch {shown(url)}: there is no host {host}. Check the address, and this machine's network.{proxy}"
        )
    return Interrupted(os_reason(reason) if isinstance(reason, OSError) else str(reason))
