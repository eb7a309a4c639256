"""The web application: the page, its streams, and the interface for programs. ``docs/api.md`` describes it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from camera_demo.control import Control
from camera_demo.frames import Result
from camera_demo.web.answers import Json, error, to_json_text
from camera_demo.web.connections import OncePerMinute
from camera_demo.web.guard import Guard, content_policy, read_body
from camera_demo.web.hub import Hub, wait_for
from camera_demo.web.metrics import CONTENT_TYPE_LATEST, Metrics
from camera_demo.web.pages import read_page
from camera_demo.web.teaching import teaching_routes
from edge.budget import Budget
from edge.errors import EdgeError

__all__ = ["page_app"]

_log = logging.getLogger(__name__)
_BOUNDARY: Final = "frame"
_PICTURE_S: Final = 1 / 15
"""Least time between two pictures of a stream: smooth enough to watch, and cheap beside the model."""
_EVENT_S: Final = 0.1
_LIVE_S: Final = 1.0
_STALLED_S: Final = 10.0
_MAX_STREAMS: Final = 48
_KEYS: Final = frozenset({"budget_ms", "fps", "variant"})


def page_app(hub: Hub, metrics: Metrics, *, token: str | None = None) -> ASGIApp:
    """The web application over ``hub``.

    Args:
        hub: Where the answers are published.
        metrics: The metrics for ``/metrics``.
        token: What a request must bring along; None where only this machine may connect.
    """
    seldom = OncePerMinute(_log)
    html = read_page("page")

    async def page(request: Request) -> Response:
        return HTMLResponse(html)

    async def stream(request: Request) -> Response:
        pictures = _pictures(hub, is_annotated=_is_annotated(request))
        return _CountedStream(hub, pictures, media_type=f"multipart/x-mixed-replace; boundary={_BOUNDARY}")

    async def snapshot(request: Request) -> Response:
        if hub.result is None:
            raise HTTPException(503, "No picture yet: try again in a moment.")
        return Response(await hub.jpeg(hub.result, is_annotated=_is_annotated(request)), media_type="image/jpeg")

    async def events(request: Request) -> Response:
        return _CountedStream(hub, _events(hub), media_type="text/event-stream")

    async def state(request: Request) -> Response:
        return Json({"answer": hub.answer, **hub.run_state.to_dict()})

    async def variants(request: Request) -> Response:
        return Json(_control_of(hub).options())

    async def history(request: Request) -> Response:
        return Json(hub.history())

    async def control(request: Request) -> Response:
        return Json(_control(_control_of(hub), await read_body(request)))

    async def recent_events(request: Request) -> Response:
        return Json(hub.events.to_list())

    async def event_picture(request: Request) -> Response:
        picture = hub.events.picture(request.path_params["id"])
        if picture is None:
            raise HTTPException(404, "There is no such picture: only those of the last events are kept.")
        return Response(picture, media_type="image/jpeg")

    async def health(request: Request) -> Response:
        return _health(hub)

    async def internal(request: Request, reason: Exception) -> Response:
        seldom.warning("internal", f"Internal error in {request.url.path}: {reason!r}.")
        return error(500, "internal error")

    async def metrics_text(request: Request) -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    routes = [
        Route("/", page),
        Route("/stream.mjpg", stream),
        Route("/snapshot.jpg", snapshot),
        Route("/api/events", events),
        Route("/api/state", state),
        Route("/api/variants", variants),
        Route("/api/history", history),
        Route("/api/recent-events", recent_events),
        Route("/api/recent-events/{id}.jpg", event_picture),
        Route("/api/control", control, methods=["PUT"]),
        Route("/healthz", health),
        Route("/metrics", metrics_text),
        *teaching_routes(hub.run_state),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, policy=content_policy(html + read_page("teach")), token=token)],
        exception_handlers={EdgeError: _on_error, HTTPException: _on_error, Exception: internal},
    )


class _CountedStream(StreamingResponse):
    """A stream that is counted while it is sent, and refused when too many are."""

    def __init__(self, hub: Hub, content: AsyncIterator[bytes], *, media_type: str) -> None:
        if hub.watchers >= _MAX_STREAMS:
            message = f"{_MAX_STREAMS} streams are being sent already: close one."
            raise HTTPException(503, message, {"retry-after": "5"})
        super().__init__(content, media_type=media_type)
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._hub.watchers += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._hub.watchers -= 1


def _is_annotated(request: Request) -> bool:
    return request.query_params.get("overlay") == "1"


async def _pictures(hub: Hub, *, is_annotated: bool) -> AsyncIterator[bytes]:
    """The pictures as parts of one endless answer; a slow reader gets fewer of them."""
    loop, result = asyncio.get_running_loop(), None
    while not hub.is_closed:
        started_s = loop.time()
        newest = await hub.next(result, _LIVE_S)
        if newest is None:
            continue
        result = newest
        data = await hub.jpeg(result, is_annotated=is_annotated)
        head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
        yield head.encode() + data + b"\r\n"
        await asyncio.sleep(max(0.0, _PICTURE_S - (loop.time() - started_s)))


async def _events(hub: Hub) -> AsyncIterator[bytes]:
    """Server-sent events: the newest answers, ten times a second at most; events; the run's state, when it changes."""
    loop, sent_s, sent = asyncio.get_running_loop(), float("-inf"), ""
    results: tuple[Result, ...] = ()
    revision = hub.events.since(0)[0]
    while not hub.is_closed:
        news, state = hub.news(), hub.run_state.to_dict()
        watched = [state["source"]["state"], state["source"]["reason"], state["variant"], state["measuring"]]
        summary = json.dumps(watched, sort_keys=True)
        if summary != sent or loop.time() - sent_s >= _LIVE_S:
            sent_s, sent = loop.time(), summary
            yield _event("live", state)
        before, results = results, hub.result.every_region if hub.result is not None else ()
        for result in results:
            if not any(result.frame is other.frame for other in before):
                yield _event("answer", result.to_dict())
        revision, changed = hub.events.since(revision)
        for value in changed:
            yield _event("event", value)
        await asyncio.sleep(_EVENT_S)
        await wait_for(news, _LIVE_S)


def _event(name: str, value: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {to_json_text(value)}\n\n".encode()


def _control_of(hub: Hub) -> Control:
    if hub.run_state.control is None:
        raise HTTPException(503, "The model is loading: try again in a moment.")
    return hub.run_state.control


def _control(control: Control, body: bytes) -> dict[str, Any]:
    """Do what a request asks, all of it or nothing: every value is checked before the first is set."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "The body is not JSON.") from None
    if not isinstance(request, dict) or not request or request.keys() - _KEYS or {"fps", "budget_ms"} <= request.keys():
        raise HTTPException(400, 'Expected an object with "budget_ms" or "fps", and "variant", or one of them.')
    variant, budget_ms = request.get("variant"), _budget_ms(request)
    if "variant" in request and not (isinstance(variant, str) and variant.isprintable()):
        raise HTTPException(400, 'variant must be a name, or "auto".')
    if budget_ms is not None:
        Budget(latency_ms=budget_ms)
    if variant is not None:
        control.choose(variant)
    if budget_ms is not None:
        control.set_budget(budget_ms)
    return control.to_dict()


def _budget_ms(request: dict[str, Any]) -> float | None:
    for name in ("budget_ms", "fps"):
        if name in request:
            if type(request[name]) not in (int, float):
                raise HTTPException(400, f"{name} must be a number.")
            try:
                value = float(request[name])
            except OverflowError:
                raise HTTPException(400, f"{name} is too large.") from None
            return value if name == "budget_ms" else Budget.of(fps=value).latency_ms
    return None


def _health(hub: Hub) -> Response:
    """200 while answers come; 503 before the first, ten seconds after the last, and while the source is lost.

    The status alone: whoever reaches the port may ask, and a reason may name the camera's address.
    """
    age_s = hub.age_s
    if hub.run_state.source.now.state == "lost":
        status = "source lost"
    elif age_s is None:
        status = "starting"
    else:
        status = "ok" if age_s < _STALLED_S else "stalled"
    return Json({"status": status}, 200 if status == "ok" else 503)


async def _on_error(request: Request, reason: Exception) -> Response:
    """An error as JSON: ours are due to the request."""
    if isinstance(reason, HTTPException):
        return error(reason.status_code, reason.detail, reason.headers)
    return error(400, str(reason))
