"""Who may see the page, and the security headers of every answer: token, host, origin, method, sizes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import math
import re
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qs, quote, unquote_to_bytes

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from camera_demo.web.answers import error
from camera_demo.web.attempts import Attempts
from camera_demo.web.connections import OncePerMinute

__all__ = ["MAX_BODY_BYTES", "Guard", "content_policy", "is_local_name", "read_body"]

_log = logging.getLogger(__name__)
_COOKIE: Final = "camera-demo"
_MAX_URL: Final = 2048
MAX_BODY_BYTES: Final = 4096
_NEEDS_TOKEN: Final = "A token is needed: open the address printed at the start, or send Authorization: Bearer TOKEN."
_AUTHENTICATE: Final = {"www-authenticate": "Bearer"}
_HOST: Final = re.compile(r"[A-Za-z0-9._-]*(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
_LOCAL: Final = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_OPEN_PATHS: Final = frozenset({"/healthz"})
_METHODS: Final = {
    "/api/control": "PUT",
    "/api/collect": "PUT",
    "/api/collected/change": "PUT",
    "/api/teach": "PUT",
}
_A_YEAR_S: Final = 365 * 24 * 3600


class Guard:
    """Passes on requests that are well-formed and allowed, and adds the security headers to every answer.

    With a token, everything but ``/healthz`` needs it: as ``Authorization: Bearer``, or in the cookie that
    ``/?token=`` leaves; an address that gives wrong ones is slowed down. Without a token only requests to a name of
    this very machine are answered, or else a foreign page could have its own name point here and read the camera.
    """

    def __init__(self, app: ASGIApp, *, policy: str, token: str | None) -> None:
        self._app, self._token = app, None if token is None else token.encode()
        self._attempts, self._seldom = Attempts(), OncePerMinute(_log)
        self._headers = {
            "content-security-policy": policy,
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
            "referrer-policy": "no-referrer",
            "permissions-policy": "camera=(), microphone=(), geolocation=()",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "cache-control": "no-store",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        refusal = _malformed(scope, headers) or _foreign(scope, headers) or self._unknown(scope, headers)
        await (refusal or self._app)(scope, receive, guarded)

    def _unknown(self, scope: Scope, headers: Headers) -> Response | None:
        """The refusal of a request without the right token or, if none is set, from another machine."""
        if self._token is None:
            if not is_local_name(headers.get("host", "")):
                return error(403, "Only this machine may connect, by a name of its own: 127.0.0.1.")
            return None
        if scope["path"] in _OPEN_PATHS:
            return None
        token, in_address = _presented(headers), None
        if scope["path"] == "/":
            in_address = parse_qs(scope["query_string"].decode("latin-1")).get("token", [None])[0]
        if token is None and in_address is None:
            return error(401, _NEEDS_TOKEN, _AUTHENTICATE)
        host = (scope.get("client") or ("", 0))[0]
        wait_s = math.ceil(self._attempts.wait_s(host))
        if wait_s:
            message = f"Too many wrong tokens from your address: try again in {wait_s} s."
            return error(429, message, {"retry-after": str(wait_s)})
        if token is not None and hmac.compare_digest(token, self._token):
            return None
        if in_address is not None and hmac.compare_digest(in_address.encode("utf-8", "replace"), self._token):
            return self._log_in(scope)
        self._attempts.count(host)
        self._seldom.warning("token", f"A wrong token was given from {host}. Others are not logged for a minute.")
        answer = error(401, _NEEDS_TOKEN, _AUTHENTICATE)
        answer.delete_cookie(_COOKIE)  # or else a tab left open since before a restart would use up its attempts
        return answer

    def _log_in(self, scope: Scope) -> Response:
        """Move the token from the address to a cookie."""
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            _COOKIE,
            quote(self._token or b"", safe=""),
            max_age=_A_YEAR_S,
            httponly=True,
            samesite="strict",
            secure=scope["scheme"] == "https",
        )
        return answer


def _malformed(scope: Scope, headers: Headers) -> Response | None:
    allowed = _METHODS.get(scope["path"], "GET")
    if scope["method"] != allowed:
        return error(405, f"Only {allowed} is answered here.", {"allow": allowed})
    if len(scope["path"]) + len(scope["query_string"]) > _MAX_URL:
        return error(414, "The address is too long.")
    length = headers.get("content-length", "0")
    max_bytes = 0 if allowed == "GET" else MAX_BODY_BYTES
    if not (length.isascii() and length.isdecimal() and len(length) < 9 and int(length) <= max_bytes):
        return error(413, f"The body is too large: at most {max_bytes} bytes are accepted.")
    if allowed == "GET" and "transfer-encoding" in headers:
        return error(413, "A GET request must not have a body.")
    if not _HOST.fullmatch(headers.get("host", "")):
        return error(400, "The Host header is not HOST or HOST:PORT.")
    return None


def _foreign(scope: Scope, headers: Headers) -> Response | None:
    """The refusal of a request that a page of another origin made a browser send."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
    is_link = scope["path"] == "/" and headers.get("sec-fetch-dest") == "document"
    if origin is not None and origin.partition("://")[2] != headers.get("host", ""):
        return error(403, "Cross-origin requests are refused.")
    if site not in ("none", "same-origin") and not is_link:
        return error(403, "Cross-origin requests are refused.")
    return None


def is_local_name(host: str) -> bool:
    """Whether a ``Host`` header names this machine without any name server.

    >>> is_local_name("127.0.0.1:8000"), is_local_name("[::1]"), is_local_name("evil.example")
    (True, True, False)
    """
    return _LOCAL.fullmatch(host) is not None


def content_policy(html: str) -> str:
    """Content security policy: the page's own script and style, by their hashes, and nothing from other origins."""

    def hashes(tag: str) -> str:
        blocks = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digests = (base64.b64encode(hashlib.sha256(block.encode()).digest()).decode() for block in blocks)
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    return (
        f"default-src 'none'; img-src 'self' data:; connect-src 'self'; script-src {hashes('script')}; "
        f"style-src {hashes('style')}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _presented(headers: Headers) -> bytes | None:
    """The token that a request brings along, as bytes; None without one."""
    authorization = headers.get("authorization")
    if authorization is not None:
        kind, _, token = authorization.partition(" ")
        return token.strip().encode("latin-1") if kind.lower() == "bearer" else b""
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(_COOKIE)
    except CookieError:
        return None
    return None if morsel is None else unquote_to_bytes(morsel.value)


async def read_body(request: Request) -> bytes:
    """The body of a request, however it is sent; too much of it is refused before it is all here."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"The body is too large: at most {MAX_BODY_BYTES} bytes are accepted.")
    return body
