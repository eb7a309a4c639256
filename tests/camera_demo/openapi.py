"""``docs/openapi.json``, and answers held against it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import jsonschema

DOCUMENT: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[2] / "docs/openapi.json").read_text(encoding="utf-8")
)


def check(value: object, schema: dict[str, Any]) -> None:
    jsonschema.validate(value, {**schema, "components": DOCUMENT["components"]})


def checked(path: str, answer: httpx.Response) -> Any:
    """The answer's JSON, which must be as the document says for its status."""
    operation = DOCUMENT["paths"][path][answer.request.method.lower()]
    described = operation["responses"][str(answer.status_code)]["content"]
    kind = answer.headers["content-type"].partition(";")[0]
    assert kind in described, (path, kind)
    if kind == "application/json":
        check(answer.json(), described[kind]["schema"])
        return answer.json()
    return answer.content
