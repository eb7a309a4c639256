"""Who may see the page, and what every answer tells the browser: the token, the host, methods, sizes, headers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import re
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["MOST_BODY_BYTES", "Guard", "content_policy", "is_local_name"]

_COOKIE: Final = "camera-demo"
_LONGEST_URL: Final = 2048
MOST_BODY_BYTES: Final = 4096
_OPEN_PATHS: Final = frozenset({"/healthz"})
_METHODS: Final = {"/api/control": "PUT"}
_A_YEAR_S: Final = 365 * 24 * 3600


class Guard:
    """Lets through what is well-formed and allowed, and adds the headers that keep the page to itself.

    With a token, everything but ``/healthz`` needs it: as ``Authorization: Bearer``, or in the cookie that
    ``/?token=`` leaves. Without one only requests to a name of this very machine are answered, or else a page from
    elsewhere could have its own name point here and read the camera.
    """

    def __init__(self, app: ASGIApp, *, policy: str, token: str | None) -> None:
        self._app, self._token = app, token
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
        """Answer a request, or hand it on."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        if scope["type"] != "http":
            return
        refusal = self._malformed(scope) or self._unwelcome(scope)
        if refusal is not None:
            await refusal(scope, receive, guarded)
        else:
            await self._app(scope, receive, guarded)

    def _malformed(self, scope: Scope) -> Response | None:
        allowed = _METHODS.get(scope["path"], "GET")
        if scope["method"] != allowed:
            return PlainTextResponse(f"Only {allowed} is answered here.\n", 405, {"allow": allowed})
        if len(scope["path"]) + len(scope["query_string"]) > _LONGEST_URL:
            return PlainTextResponse("The address is too long.\n", 414)
        length = Headers(scope=scope).get("content-length", "0")
        if not (length.isascii() and length.isdecimal() and int(length[:9]) <= MOST_BODY_BYTES):
            return PlainTextResponse(f"At most {MOST_BODY_BYTES} bytes are taken.\n", 413)
        return None

    def _unwelcome(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return PlainTextResponse("Pages from elsewhere are not answered.\n", 403)
        if self._token is None:
            if not is_local_name(host):
                return PlainTextResponse("Only this machine is answered, by a name of its own: 127.0.0.1.\n", 403)
            return None
        if scope["path"] in _OPEN_PATHS or self._is_known(_presented(headers)):
            return None
        query = parse_qs(scope["query_string"].decode("latin-1"))
        if scope["path"] == "/" and self._is_known(query.get("token", [""])[0]):
            return self._welcome()
        message = "A token is needed: open the address that was printed at the start, or send Authorization: Bearer.\n"
        return PlainTextResponse(message, 401, {"www-authenticate": "Bearer"})

    def _welcome(self) -> Response:
        """Leave the token in a cookie, and take it out of the address."""
        answer = RedirectResponse("/", 303)
        answer.set_cookie(_COOKIE, self._token or "", max_age=_A_YEAR_S, httponly=True, samesite="strict")
        return answer

    def _is_known(self, token: str) -> bool:
        return hmac.compare_digest(token.encode("utf-8", "replace"), (self._token or "").encode())


def is_local_name(host: str) -> bool:
    """Whether a ``Host`` header names this very machine, and nothing that a name server could say.

    >>> is_local_name("127.0.0.1:8000"), is_local_name("[::1]"), is_local_name("evil.example")
    (True, True, False)
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def content_policy(html: str) -> str:
    """Allows the page's own script and style, known by their hashes, and nothing from elsewhere."""

    def hashes(tag: str) -> str:
        blocks = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digests = (base64.b64encode(hashlib.sha256(block.encode()).digest()).decode() for block in blocks)
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    return (
        f"default-src 'none'; img-src 'self' data:; connect-src 'self'; script-src {hashes('script')}; "
        f"style-src {hashes('style')}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _presented(headers: Headers) -> str:
    """The token that a request brings along; empty without one."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return token.strip()
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(_COOKIE)
    except CookieError:
        return ""
    return "" if morsel is None else morsel.value
