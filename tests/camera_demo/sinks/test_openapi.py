"""``docs/openapi.json`` against the real routes and their answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import jsonschema
import numpy as np
import pytest
from starlette.applications import Starlette

from camera_demo.control import Control, Option
from camera_demo.events import Event, Moment
from camera_demo.frames import Result
from camera_demo.region import Region
from camera_demo.run_state import RunState
from camera_demo.sinks.page import PageSink
from camera_demo.web.app import page_app
from edge.budget import Budget
from edge.inference.classifier import Classifier
from tests.camera_demo.openapi import DOCUMENT, check, checked


@pytest.fixture
def full(
    page: PageSink,
    run_state: RunState,
    make_result: Callable[..., Result],
    make_classifier: Callable[..., Classifier],
) -> PageSink:
    """A page that has all there is to tell."""
    classifier = make_classifier()
    classifier.set_budget(Budget(latency_ms=33.0))
    run_state.loaded(Control(classifier, [Option(name="a", top1=None, p95_ms=3.5, size_mb=1.0)]))
    run_state.announces = True
    moment = Moment(3, 0.1, 1.7e9)
    event = Event(
        number=1, region="door", label="three", class_id=3, start=moment, last=moment, probability=0.9, best=moment,
        image=np.zeros((48, 64, 3), np.uint8),
    )  # fmt: skip
    page.on_event(event)
    page.on_event(replace(event, is_over=True))
    page.on_event(replace(event, number=2, region="", image=None))
    region = Region(left=0, top=0, right=0.5, bottom=1, name="door")
    page.show(make_result(is_steady=True, steady="three", is_kept=True, region=region))
    return page


def test_it_has_every_route_and_method_and_no_other(page: PageSink) -> None:
    app: Any = page_app(page._hub, page._metrics)
    assert isinstance(app, Starlette)
    routes = {(route.path, method.lower()) for route in app.routes for method in route.methods - {"HEAD"}}  # type: ignore[attr-defined]
    described = {(path, method) for path, operations in DOCUMENT["paths"].items() for method in operations}
    assert described == routes
    for path, operations in DOCUMENT["paths"].items():
        named = {
            p["name"] for operation in operations.values() for p in operation.get("parameters", ()) if p["in"] == "path"
        }
        assert named == set(re.findall(r"{(\w+)}", path))


def test_every_schema_is_one_and_is_used() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    used = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(DOCUMENT)))
    assert used | {"Live"} == set(schemas)


def test_the_answers_are_as_it_says_before_the_model_is_loaded(page: PageSink, browser: httpx.Client) -> None:
    for path in (
        "/api/state",
        "/api/history",
        "/api/recent-events",
        "/api/variants",
        "/healthz",
        "/snapshot.jpg",
        "/metrics",
        "/",
    ):
        checked(path, browser.get(path))
    missing = browser.get("/api/recent-events/9.jpg")
    assert missing.status_code == 404
    checked("/api/recent-events/{id}.jpg", missing)
    checked("/api/control", browser.put("/api/control", json={"fps": 3}))


def test_the_answers_are_as_it_says_when_there_is_all(full: PageSink, browser: httpx.Client) -> None:
    for path in ("/api/state", "/api/history", "/api/variants", "/healthz", "/snapshot.jpg"):
        answer = browser.get(path)
        assert answer.status_code == 200
        checked(path, answer)
    full._hub.events.close()  # every picture is encoded
    [whole, ended] = checked("/api/recent-events", browser.get("/api/recent-events"))
    assert (whole["id"], whole["event"], whole["picture"]) == ("2", "begin", None)
    assert (ended["id"], ended["event"], ended["region_name"]) == ("door-1", "end", "door")
    picture = browser.get(ended["picture"])
    assert picture.status_code == 200
    assert checked("/api/recent-events/{id}.jpg", picture).startswith(b"\xff\xd8")
    checked("/api/control", browser.put("/api/control", json={"budget_ms": 20}))
    checked("/api/control", browser.put("/api/control", json={"speed": 20}))


def test_what_is_streamed_is_as_it_says(full: PageSink, browser: httpx.Client) -> None:
    schemas, seen = DOCUMENT["components"]["schemas"], dict[str, Any]()
    moment = Moment(3, 0.1, 1.7e9)
    with browser.stream("GET", "/api/events") as answer:
        name = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                seen[name] = json.loads(line.removeprefix("data: "))
                full.on_event(
                    Event(
                        number=3, region="", label="four", class_id=4, start=moment, last=moment, probability=0.9,
                        best=moment,
                    )
                )  # fmt: skip
            if seen.keys() >= {"answer", "event", "live"}:
                break
    check(seen["answer"], schemas["Answer"])
    check(seen["event"], schemas["Event"])
    check(seen["live"], schemas["Live"])
    assert seen["event"]["id"] == "3"


@pytest.mark.parametrize(
    ("body", "is_valid"),
    [
        ({"fps": 30}, True),
        ({"budget_ms": 20, "variant": "auto"}, True),
        ({}, False),
        ({"fps": 30, "budget_ms": 3}, False),
        ({"speed": 1}, False),
        ({"variant": 3}, False),
    ],
)
def test_a_control_request_is_valid_here_and_there(
    full: PageSink, browser: httpx.Client, body: dict[str, Any], is_valid: bool
) -> None:
    schema = DOCUMENT["components"]["schemas"]["ControlRequest"]
    assert jsonschema.Draft202012Validator(schema).is_valid(body) == is_valid
    status = browser.put("/api/control", json=body).status_code
    # The fake classifier's variant is fixed: a request for another is refused, though it is well formed.
    assert (status == 200) == (is_valid and "variant" not in body)
