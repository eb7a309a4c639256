"""The file of a channel: read whole and right, or refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from edge.errors import ChannelError
from edge.fleet.channel import Channel, Release, Runtime, parse_channel, to_payload
from edge.fleet.health import Gate
from edge.fleet.rings import Ring

KEY = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
"""The public key of the private one 00 01 02 … 1f."""


def release(number: int = 1, **changes: Any) -> Release:
    values: dict[str, Any] = {
        "version": f"{number:016x}",
        "bundle_name": "small",
        "url": f"bundles/small-{number}.zip",
        "sha256": f"{number:064x}",
        "size_bytes": 100,
        "installed_bytes": 200,
        "published": "2026-11-27T17:20:00Z",
        "rings": (Ring(name="lab", groups=("lab",)), Ring(name="first", percent=5), Ring(name="all", percent=100)),
        "open_rings": 3,
    }
    return Release(**values | changes)


def channel(*releases: Release, **changes: Any) -> Channel:
    values: dict[str, Any] = {
        "name": "birds",
        "serial": 7,
        "created": "2026-11-27T17:20:00Z",
        "expires": "2027-02-25T17:20:00Z",
        "releases": releases or (release(),),
        "keys": (KEY,),
    }
    return Channel(**values | changes)


def changed(change: Callable[[Any], object]) -> str:
    values = json.loads(to_payload(channel()))
    change(values)
    return json.dumps(values)


def refused(payload: str, **options: bool) -> str:
    with pytest.raises(ChannelError) as error:
        parse_channel(payload, "Channel file x", **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_written_is_read_again() -> None:
    full = channel(
        release(1, withdrawn="slow"),
        release(
            2,
            label="2026.11",
            parent=f"{1:016x}",
            not_before="2026-12-01T02:00:00+01:00",
            runtime=Runtime(minimum="0.2.0", backends=("litert", "tensorrt")),
            gate=Gate(minutes=5, max_restarts=0),
            open_rings=0,
        ),
        paused=True,
        paused_reason="heat",
    )
    assert parse_channel(to_payload(full), "x", all_keys_known=True) == full
    rings = json.loads(to_payload(full))["releases"][0]["rings"]
    assert rings == [
        {"name": "lab", "groups": ["lab"]},
        {"name": "first", "percent": 5},
        {"name": "all", "percent": 100},
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(schema_version=2), "has schema 2, expected 1: update mobilenet-edge."),
        (lambda v: v.update(schema_version="x" * 99), "another file"),
        (lambda v: v.pop("schema_version"), "has schema null"),
        (lambda v: v.pop("serial"), "lacks the key 'serial'"),
        (lambda v: v.update(serial=0), "serial is 0"),
        (lambda v: v.update(serial=True), "serial is true: expected a whole number"),
        (lambda v: v.update(name="../birds"), "name is '../birds'"),
        (lambda v: v.update(expires=v["created"]), "expires (2026-11-27T17:20:00Z) before it was created"),
        (lambda v: v.update(created="yesterday"), "cannot be used"),
        (lambda v: v.update(created="9999-12-31T23:59:59-23:59"), "cannot be used"),
        (lambda v: v.update(created="2026-11-27T17:20:00"), "no time zone"),
        (lambda v: v.update(keys=[]), "names 0 keys"),
        (lambda v: v.update(keys=["x"]), "not a public Ed25519 key"),
        (lambda v: v["releases"].append(v["releases"][0]), "two releases are of the version 0000000000000001"),
        (lambda v: v.update(releases=v["releases"] * 201), "201 releases"),
        (
            lambda v: v["releases"].append({**v["releases"][0], "version": "2" * 16, "bundle_name": "fish"}),
            "a channel brings one bundle",
        ),
        (lambda v: v["releases"][0].update(version="1.0"), "version is '1.0': expected 16 hexadecimal digits"),
        (lambda v: v["releases"][0].update(sha256="0"), "sha256 is '0'"),
        (lambda v: v["releases"][0].update(size_bytes=-1), "size_bytes is -1"),
        (lambda v: v["releases"][0].update(url="a b"), "url is 'a b'"),
        (lambda v: v["releases"][0].update(url=""), "url is ''"),
        (lambda v: v["releases"][0].update(open_rings=4), "open_rings is 4: expected 0 to 3"),
        (lambda v: v["releases"][0].update(rings=[]), "0 rings"),
        (lambda v: v["releases"][0]["rings"][2].update(percent=120), "share of 120 %"),
        (lambda v: v["releases"][0]["rings"][2].update(percent=3), "not larger than ring first (5 %)"),
        (lambda v: v["releases"][0]["rings"][2].pop("percent"), "either percent or groups"),
        (lambda v: v["releases"][0].update(not_before="soon"), "cannot be used"),
        (lambda v: v["releases"][0]["runtime"].update(minimum="new"), "runtime.minimum is 'new'"),
        (lambda v: v["releases"][0]["gate"].update(minutes="long"), "minutes"),
        (lambda v: v["releases"][0]["gate"].update(max_late_share=7), "max_late_share is 7"),
        (lambda v: v["releases"][0].update(bundle_name="a/b"), "bundle_name is 'a/b'"),
    ],
)
def test_a_channel_that_cannot_be_used(change: Callable[[Any], object], message: str) -> None:
    assert message in refused(changed(change))


def test_a_text_that_is_none() -> None:
    assert "damaged or cut short" in refused(to_payload(channel())[:-20])
    assert "holds a JSON list" in refused("[]")


def test_keys_of_later_versions_are_passed_over_by_boards_and_stop_the_operator() -> None:
    payload = changed(
        lambda v: (
            v.update(mood="good"),
            v["releases"][0].update(colour="red"),
            v["releases"][0]["gate"].update(max_heat=3),
            v["releases"][0]["rings"][1].update(shape="round"),
        )
    )
    assert parse_channel(payload, "x") == channel()
    assert "newer version of mobilenet-edge" in refused(payload, all_keys_known=True)


def test_what_would_not_be_read_is_not_signed() -> None:
    odd = channel()
    object.__setattr__(odd, "name", "a/b")
    with pytest.raises(ChannelError):
        to_payload(odd)
    with pytest.raises(ValueError, match="two releases"):
        replace(odd, name="birds", releases=(release(), release()))
