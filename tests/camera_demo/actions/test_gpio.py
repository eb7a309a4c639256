"""``gpio:`` with gpiozero's mock pins."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from camera_demo.actions.dispatcher import Actions
from camera_demo.actions.rules import parse_rule
from camera_demo.errors import ConfigError
from camera_demo.events import Event

gpiozero = pytest.importorskip("gpiozero")


@pytest.fixture
def pins(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from gpiozero.pins.mock import MockFactory

    factory = MockFactory()
    monkeypatch.setattr(gpiozero.Device, "pin_factory", factory)
    yield factory
    factory.reset()


def actions_of(*tables: dict[str, Any]) -> Actions:
    return Actions([parse_rule(table) for table in tables], "attic")


def test_a_pin_is_active_while_the_class_is_seen(pins: Any, make_event: Callable[..., Event]) -> None:
    actions = actions_of({"class": "three", "run": "gpio:17"})
    pin, states = pins.pin(17), []
    for event in (
        make_event("four"),
        make_event("three", number=2),
        make_event("four", is_over=True),
        make_event("three", number=2, is_over=True),
        make_event("three", number=3),
    ):
        actions.on_event(event)
        states.append(pin.state)
    assert states == [0, 1, 1, 0, 1]
    actions.close()
    assert pin.function == "input", "freed, and no longer driven"


def test_a_pin_that_several_regions_and_rules_share_is_active_while_any_of_them_sees_it(
    pins: Any, make_event: Callable[..., Event]
) -> None:
    actions = actions_of({"class": "three", "run": "gpio:17"}, {"class": ["three", "four"], "run": "gpio:17"})
    states = []
    for region, is_over in (("door", False), ("gate", False), ("door", True), ("gate", True)):
        actions.on_event(make_event(region=region, is_over=is_over))
        states.append(pins.pin(17).state)
    assert states == [1, 1, 1, 0]
    actions.close()


def test_a_pin_may_be_active_low(pins: Any, make_event: Callable[..., Event]) -> None:
    actions = actions_of({"run": "gpio:17:low"})
    assert pins.pin(17).state == 1
    actions.on_event(make_event())
    assert pins.pin(17).state == 0
    actions.close()


@pytest.mark.parametrize("text", ["gpio:x", "gpio:1.5", "gpio:-1", "gpio:17:high", "gpio:1234"])
def test_what_is_no_pin_is_refused(pins: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=r"action 1: gpio:.* is not a pin: expected its BCM number"):
        actions_of({"run": text})


def test_a_pin_that_is_taken_or_does_not_exist_is_refused(pins: Any) -> None:
    with gpiozero.LED(17), pytest.raises(ConfigError, match=r"action 1: Cannot use gpio:17: .* in use"):
        actions_of({"run": "gpio:17"})
    with pytest.raises(ConfigError, match="action 2: Cannot use gpio:999: "):
        actions_of({"run": "gpio:18"}, {"run": "gpio:999"})
    actions_of({"run": "gpio:18"}).close()


def test_where_there_are_no_pins_that_is_one_line(
    monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    def without(*_: Any, **__: Any) -> None:
        warnings.warn("Falling back from lgpio: No module named 'lgpio'", stacklevel=2)
        raise gpiozero.exc.BadPinFactory("Unable to load any default pin factory!")

    monkeypatch.setattr(gpiozero, "DigitalOutputDevice", without)
    with pytest.raises(ConfigError, match=r"Cannot use gpio:17: Unable to load any default pin factory\. Expected a "):
        actions_of({"run": "gpio:17"})
    assert not recwarn.list


def test_a_pin_that_breaks_meanwhile_is_logged(
    pins: Any, make_event: Callable[..., Event], caplog: pytest.LogCaptureFixture
) -> None:
    actions = actions_of({"run": "gpio:17"})
    pins.pin(17).close()
    actions.on_event(make_event())
    actions.close()
    assert all("gpio:17 failed: " in message for message in caplog.messages)
