"""What the page's second half asks for: collected pictures, their classes, and lessons."""

from __future__ import annotations

import json
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from camera_demo.collecting.collector import Collector
from camera_demo.run_state import RunState
from camera_demo.teaching import Teacher
from camera_demo.web.answers import Json
from camera_demo.web.guard import read_body
from camera_demo.web.pages import read_page
from edge.teaching.pictures import check_name

__all__ = ["teaching_routes"]

_MOST_LISTED: Final = 500
_ACTIONS: Final = ("learn", "use", "back")
_CHANGES: Final = ("label", "delete", "restore")


def teaching_routes(run_state: RunState) -> list[Route]:
    """The routes; without ``collect:DIR`` they say so."""
    html = read_page("teach")

    async def page(request: Request) -> Response:
        return HTMLResponse(html)

    async def collected(request: Request) -> Response:
        return Json(await run_in_threadpool(_listed, _collector(run_state)))

    async def picture(request: Request) -> Response:
        collection, name = _collector(run_state).collection, request.path_params["file"]
        content = await run_in_threadpool(collection.content, name)
        if content is None:
            raise HTTPException(404, "There is no such picture.")
        return Response(content, media_type="image/jpeg")

    async def change(request: Request) -> Response:
        values = await _object(request)
        return Json(await run_in_threadpool(_change, _collector(run_state), values))

    async def collect(request: Request) -> Response:
        collector, values = _collector(run_state), await _object(request)
        count, label = values.get("count"), values.get("label", "")
        if type(count) is not int or not 0 <= count <= 200 or values.keys() - {"count", "label"}:
            raise HTTPException(400, 'Expected an object with "count", 0 to 200, and perhaps "label".')
        collector.ask(count, _label(label))
        return Json({"asked": collector.asked, "kept": collector.kept})

    async def state(request: Request) -> Response:
        return Json(await run_in_threadpool(_teacher(run_state).to_dict))

    async def teach(request: Request) -> Response:
        teacher, values = _teacher(run_state), await _object(request)
        if values.keys() != {"action"} or values["action"] not in _ACTIONS:
            raise HTTPException(400, f'Expected an object with "action", one of {", ".join(_ACTIONS)}.')
        await run_in_threadpool(getattr(teacher, values["action"]))
        return Json(await run_in_threadpool(teacher.to_dict))

    return [
        Route("/teach", page),
        Route("/api/collected", collected),
        Route("/api/collected/change", change, methods=["PUT"]),
        Route("/api/collected/{file}.jpg", picture),
        Route("/api/collect", collect, methods=["PUT"]),
        Route("/api/teaching", state),
        Route("/api/teach", teach, methods=["PUT"]),
    ]


def _collector(run_state: RunState) -> Collector:
    if run_state.collector is None:
        raise HTTPException(404, "No pictures are collected: start with an output collect:DIR, too.")
    return run_state.collector


def _teacher(run_state: RunState) -> Teacher:
    _collector(run_state)
    if run_state.teacher is None:
        raise HTTPException(503, "The model is loading: try again in a moment.")
    return run_state.teacher


def _listed(collector: Collector) -> dict[str, Any]:
    pictures, labels = collector.collection.pictures(), collector.collection.labels()
    return {
        "folder": str(collector.collection.folder),
        "count": len(pictures),
        "size_bytes": collector.collection.size_bytes,
        "asked": collector.asked,
        "note": collector.note or None,
        "pictures": [
            {**one.to_dict(), "label": labels.get(one.file, "")} for one in pictures[: -_MOST_LISTED - 1 : -1]
        ],
    }


def _change(collector: Collector, values: dict[str, Any]) -> dict[str, Any]:
    """Label, delete or restore pictures."""
    action, names = values.get("action"), values.get("files")
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if action not in _CHANGES or not is_list or values.keys() - {"action", "files", "label"}:
        raise HTTPException(
            400, f'Expected an object with "action", one of {", ".join(_CHANGES)}, "files", a list, and a "label".'
        )
    assert isinstance(names, list)
    if action == "label":
        return {"before": collector.collection.label(names, _label(values.get("label", "")))}
    change = collector.collection.delete if action == "delete" else collector.collection.restore
    return {"count": change(names)}


def _label(value: object) -> str:
    if not isinstance(value, str):
        raise HTTPException(400, "label must be the name of a class.")
    if value.strip():
        check_name(value.strip())
    return value.strip()


async def _object(request: Request) -> dict[str, Any]:
    try:
        values = json.loads(await read_body(request))
    except (ValueError, RecursionError):
        raise HTTPException(400, "The body is not JSON.") from None
    if not isinstance(values, dict):
        raise HTTPException(400, "The body is not a JSON object.")
    return values
