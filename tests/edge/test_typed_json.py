"""Dataclasses from JSON: every kind of field, and a message with its path for every fault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from edge.bundles.variant import Variant
from edge.errors import VariantError
from edge.typed_json import FLAT, OPEN, from_json, named


@dataclass(frozen=True)
class Inner:
    """A part."""

    width: int
    height: int | None = None


@dataclass(frozen=True)
class Outer:
    """One field of each kind."""

    inner: Inner
    later: Inner = field(metadata=OPEN)
    place: Inner = field(metadata=FLAT)
    kind: Literal["a", "b"] = field(metadata=named("type"))
    variant: Variant
    share: float
    pair: tuple[str, float]
    many: tuple[Inner, ...] = ()
    by_name: Mapping[str, float] = field(default_factory=dict)
    anything: Any = None


WHOLE: dict[str, Any] = {
    "inner": {"width": 1},
    "later": {"width": 2, "depth": 3},
    "width": 4,
    "height": None,
    "type": "b",
    "variant": "0.5_160",
    "share": 1,
    "pair": ["x", 0.5],
    "many": [{"width": 5}],
    "by_name": {"cpu": 50},
    "anything": [{}],
}


def test_every_kind_of_field_is_read() -> None:
    assert from_json(Outer, WHOLE) == Outer(
        inner=Inner(1),
        later=Inner(2),
        place=Inner(4),
        kind="b",
        variant=Variant(0.5, 160),
        share=1.0,
        pair=("x", 0.5),
        many=(Inner(5),),
        by_name={"cpu": 50.0},
        anything=[{}],
    )


def test_a_field_with_a_default_may_be_missing() -> None:
    few = {key: value for key, value in WHOLE.items() if key not in ("many", "by_name", "anything", "height")}
    assert (from_json(Outer, few).many, from_json(Outer, few).by_name) == ((), {})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inner": []}, "inner is []: expected an object"),
        ({"inner": {"width": 1.0}}, "inner.width is 1.0: expected a whole number"),
        ({"inner": {"width": True}}, "inner.width is true: expected a whole number"),
        ({"inner": {"width": 1, "depth": 2}}, "unknown key 'inner.depth'"),
        ({"fps": 30}, "unknown key 'fps'"),
        ({"width": None}, "width is null: expected a whole number"),
        ({"type": "c"}, 'type is "c": expected one of a, b'),
        ({"type": []}, "type is []: expected one of a, b"),
        ({"variant": 5}, "variant is 5: expected printable text"),
        ({"share": "1"}, 'share is "1": expected a number'),
        ({"share": 10**400}, f"share is 1{'0' * 39}: expected a number"),
        ({"pair": ["x"]}, 'pair is ["x"]: expected a list of 2'),
        ({"pair": [1, 1]}, "pair[0] is 1: expected text"),
        ({"pair": "xy"}, 'pair is "xy": expected a list'),
        ({"many": [{"width": 1}, {"width": "é"}]}, 'many[1].width is "é": expected a whole number'),
        ({"by_name": {"cpu": "hot"}}, "by_name['cpu'] is \"hot\": expected a number"),
        ({"by_name": 5}, "by_name is 5: expected an object"),
    ],
)
def test_a_wrong_value_is_named_by_its_path(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as refused:
        from_json(Outer, WHOLE | changes)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("values", "path"),
    [({}, "inner"), (WHOLE | {"many": [{}]}, "many[0].width"), ({k: WHOLE[k] for k in WHOLE if k != "type"}, "type")],
)
def test_what_is_missing_is_named_by_its_path(values: dict[str, Any], path: str) -> None:
    with pytest.raises(KeyError) as refused:
        from_json(Outer, values)
    assert refused.value.args == (path,)


def test_what_is_not_an_object_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^the file is \[1\]: expected an object$"):
        from_json(Outer, [1])


def test_what_a_type_refuses_to_parse_is_its_own_error() -> None:
    with pytest.raises(VariantError, match="'fast one'"):
        from_json(Outer, WHOLE | {"variant": "fast one"})
