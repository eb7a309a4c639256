"""What the web page serves, and the one place where the loop and the browsers meet."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from importlib.resources import files
from typing import Any, Final

import cv2
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from camera_demo.frames import Shown
from edge.preprocess import Frame

__all__ = ["Hub", "page_app"]

_BOUNDARY: Final = "frame"
_QUALITY: Final = 80
_EVENT_S: Final = 0.1
_STALLED_S: Final = 10.0


class Hub:
    """The newest answer: one thread publishes, many coroutines of another thread watch."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.viewers = 0
        """Browsers that watch the picture."""
        self.is_closed = False
        self._clock = clock
        self._shown: Shown | None = None
        self._published_s = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._encoding = asyncio.Lock()
        self._encoded: tuple[Frame | None, bytes] = (None, b"")

    @property
    def state(self) -> dict[str, Any]:
        """The newest answer as JSON values; empty before the first."""
        return {} if self._shown is None else self._shown.to_dict()

    @property
    def age_s(self) -> float | None:
        """Seconds since the newest answer; None before the first."""
        return None if self._shown is None else self._clock() - self._published_s

    def publish(self, shown: Shown) -> None:
        """Replace the newest answer. Called by the loop's thread; waits for nobody."""
        self._shown, self._published_s = shown, self._clock()
        self._wake()

    def close(self) -> None:
        """Let every watcher go."""
        self.is_closed = True
        self._wake()

    async def next(self, last: Shown | None) -> Shown | None:
        """The newest answer that is not ``last``, waiting for one; None when there will be none."""
        self._loop = asyncio.get_running_loop()
        while not self.is_closed:
            news = self._news
            if self._shown is not None and self._shown is not last:
                return self._shown
            await news.wait()
        return None

    async def jpeg(self, picture: Frame) -> bytes:
        """``picture`` as JPEG, encoded once for all who watch, beside the loop."""
        async with self._encoding:
            if self._encoded[0] is not picture:
                options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
                _, data = await asyncio.to_thread(cv2.imencode, ".jpg", picture, options)
                self._encoded = picture, data.tobytes()
            return self._encoded[1]

    def _wake(self) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._ring)

    def _ring(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


def page_app(hub: Hub) -> ASGIApp:
    """The web application over ``hub``."""
    html = (files("camera_demo") / "static" / "page.html").read_text(encoding="utf-8")

    async def page(request: Request) -> Response:
        return HTMLResponse(html)

    async def stream(request: Request) -> Response:
        return _Watched(hub, _pictures(hub), media_type=f"multipart/x-mixed-replace; boundary={_BOUNDARY}")

    async def events(request: Request) -> Response:
        return StreamingResponse(_events(hub), media_type="text/event-stream")

    async def state(request: Request) -> Response:
        return JSONResponse(hub.state)

    async def health(request: Request) -> Response:
        return _health(hub.age_s)

    routes = [
        Route("/", page),
        Route("/stream.mjpg", stream),
        Route("/events", events),
        Route("/state", state),
        Route("/healthz", health),
    ]
    return Starlette(routes=routes, middleware=[Middleware(_Guard, policy=_content_policy(html))])


class _Watched(StreamingResponse):
    """A stream that is counted while somebody watches it."""

    def __init__(self, hub: Hub, content: AsyncIterator[bytes], *, media_type: str) -> None:
        super().__init__(content, media_type=media_type)
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._hub.viewers += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._hub.viewers -= 1


class _Guard:
    """Answers GET alone, and tells browsers to keep the page to itself."""

    def __init__(self, app: ASGIApp, policy: str) -> None:
        self._app = app
        headers = {
            "content-security-policy": policy,
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
            "referrer-policy": "no-referrer",
            "cross-origin-resource-policy": "same-origin",
            "cache-control": "no-store",
        }
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *self._headers]}
            await send(message)

        if scope["type"] == "http" and scope["method"] != "GET":
            refusal = Response("Only GET is answered here.\n", 405, {"allow": "GET"}, "text/plain")
            await refusal(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)


async def _pictures(hub: Hub) -> AsyncIterator[bytes]:
    """The pictures as parts of one endless answer; whoever reads slowly gets fewer of them."""
    shown = None
    while (shown := await hub.next(shown)) is not None:
        if shown.picture is None:
            continue
        data = await hub.jpeg(shown.picture)
        head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
        yield head.encode() + data + b"\r\n"


async def _events(hub: Hub) -> AsyncIterator[bytes]:
    """The answers as server-sent events, at most ten a second."""
    shown = None
    while (shown := await hub.next(shown)) is not None:
        yield f"data: {json.dumps(shown.to_dict(), ensure_ascii=False)}\n\n".encode()
        await asyncio.sleep(_EVENT_S)


def _health(age_s: float | None) -> Response:
    """Well while answers come; before the first and after ten seconds without one, not."""
    if age_s is None:
        return JSONResponse({"status": "starting"}, 503)
    is_well = age_s < _STALLED_S
    return JSONResponse({"status": "ok" if is_well else "stalled", "age_s": round(age_s, 3)}, 200 if is_well else 503)


def _content_policy(html: str) -> str:
    """Allows the page's own script and style, known by their hashes, and nothing from elsewhere."""

    def hashes(tag: str) -> str:
        blocks = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digests = (base64.b64encode(hashlib.sha256(block.encode()).digest()).decode() for block in blocks)
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    return (
        f"default-src 'none'; img-src 'self' data:; connect-src 'self'; script-src {hashes('script')}; "
        f"style-src {hashes('style')}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
