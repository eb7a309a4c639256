"""Which event leads to which action, and when."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_demo.actions import dispatcher
from camera_demo.actions.dispatcher import Actions
from camera_demo.actions.rules import QuietHours, Rule, check_rules, parse_rule
from camera_demo.config import read_config
from camera_demo.errors import ConfigError
from camera_demo.events import Event
from camera_demo.settings import Settings


class Noted:
    """An action that notes what it is given."""

    def __init__(self, rule: Rule, camera: str) -> None:
        self.seen: list[tuple[str, bool, bool]] = []
        self.is_closed = False

    def act(self, event: Event) -> None:
        self.seen.append((event.label, event.is_over, event.image is not None))

    def close(self) -> None:
        self.is_closed = True


def noted(actions: Actions) -> Any:
    [(_, action)] = actions._rules
    return action


@pytest.fixture
def make_actions(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Actions, list[float], list[int]]]:
    monkeypatch.setattr(dispatcher, "CommandAction", Noted)

    def make(**keys: Any) -> tuple[Actions, list[float], list[int]]:
        now_s, minute = [0.0], [12 * 60]
        rule = parse_rule({"run": "exec:true", **keys})
        return Actions([rule], "cam", clock=lambda: now_s[0], local_minute=lambda: minute[0]), now_s, minute

    return make


def test_a_rule_acts_for_its_classes_and_regions(
    make_actions: Callable[..., Any], make_event: Callable[..., Event]
) -> None:
    actions, now_s, _ = make_actions(**{"class": ["three", "five"], "region": "door"})
    for label, region in (("three", "door"), ("three", "gate"), ("four", "door"), ("five", "door"), ("five", "")):
        now_s[0] += 10
        actions.on_event(make_event(label, region=region))
    assert [label for label, _, _ in noted(actions).seen] == ["three", "five"]
    actions.close()
    assert noted(actions).is_closed


@pytest.mark.parametrize(("on", "expected"), [("begin", [False]), ("end", [True]), ("both", [False, True])])
def test_a_rule_acts_at_the_begin_at_the_end_or_both(
    make_actions: Callable[..., Any], make_event: Callable[..., Event], on: str, expected: list[bool]
) -> None:
    actions, now_s, _ = make_actions(on=on, picture=on == "end")
    actions.on_event(make_event(is_over=False))
    now_s[0] = 0.5
    actions.on_event(make_event(is_over=True))
    assert [is_over for _, is_over, _ in noted(actions).seen] == expected
    assert {has_picture for _, _, has_picture in noted(actions).seen} == {on == "end"}


def test_not_in_quiet_hours_and_not_too_often(
    make_actions: Callable[..., Any], make_event: Callable[..., Event]
) -> None:
    actions, now_s, minute = make_actions(quiet="22:00-07:00", min_interval_s=60, on="both")
    times = ((0, 12), (30, 12), (60, 12), (200, 23), (300, 6), (400, 7))
    for number, (now_s[0], hour) in enumerate(times):
        minute[0] = 60 * hour
        actions.on_event(make_event(number=number))
        minute[0] = 12 * 60
        actions.on_event(make_event(number=number, is_over=True))
    assert len(noted(actions).seen) == 6, "three begins, and the end of each; what did not begin does not end"


@given(st.integers(0, 1439), st.integers(0, 1439), st.integers(0, 1439))
def test_quiet_hours_and_the_others_make_a_day(start: int, end: int, minute: int) -> None:
    if start != end:
        assert QuietHours(start, end).holds(minute) != QuietHours(end, start).holds(minute)


def test_an_action_that_cannot_be_opened_closes_those_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[Noted] = []

    class Second(Noted):
        def __init__(self, rule: Rule, camera: str) -> None:
            super().__init__(rule, camera)
            if opened:
                raise ConfigError("no.")
            opened.append(self)

    monkeypatch.setattr(dispatcher, "CommandAction", Second)
    with pytest.raises(ConfigError, match=r"action 2: no\."):
        Actions([parse_rule({"run": "exec:true"})] * 2, "cam")
    assert opened[0].is_closed


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "run is missing: expected text in quotes."),
        ({"run": 1}, "run is '1': expected text in quotes."),
        ({"run": "exec:"}, "run is 'exec:': expected exec:COMMAND, webhook:https://HOST/PATH or gpio:PIN."),
        ({"run": "https://me:secret@host/hook"}, "run is 'https:': expected exec:COMMAND"),
        ({"run": "exec:true", "clas": "a"}, "unknown key 'clas': did you mean 'class'?"),
        ({"run": "exec:true", "xyzzy": "a"}, "unknown key 'xyzzy': expected some of class, run"),
        ({"run": "exec:true", "class": 3}, "class is '3': expected a label in quotes, or a list of them."),
        ({"run": "exec:true", "class": ["a", ""]}, "class is"),
        ({"run": "exec:true", "on": "start"}, "on is 'start': expected begin, end or both."),
        ({"run": "gpio:17", "on": "end"}, "on does not go with gpio"),
        ({"run": "exec:true", "quiet": "22-7"}, "quiet is '22-7': expected two times of day"),
        ({"run": "exec:true", "quiet": "07:00-07:00"}, "quiet is '07:00-07:00'"),
        ({"run": "exec:true", "quiet": "25:00-07:00"}, "quiet is '25:00-07:00'"),
        ({"run": "exec:true", "min_interval_s": -1}, "min_interval_s is '-1': expected seconds, 0 to 86400."),
        ({"run": "exec:true", "min_interval_s": float("nan")}, "min_interval_s is 'nan'"),
        ({"run": "exec:true", "min_interval_s": True}, "min_interval_s is 'True'"),
        ({"run": "exec:true", "timeout_s": 0}, "timeout_s is '0': expected seconds, 0.1 to 86400."),
        ({"run": "exec:true", "picture": "yes"}, "picture is 'yes': expected true or false."),
    ],
)
def test_invalid_tables_are_refused_with_a_reason(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_rule(table)
    assert message in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_class_or_region_that_does_not_exist_is_refused_with_the_nearest() -> None:
    labels = ["zero", "one", "two", "three", "four", "five"]
    with pytest.raises(ConfigError, match=r"action 2: unknown class 'tree': did you mean 'three'\?"):
        check_rules([parse_rule({"run": "exec:true"}), parse_rule({"run": "exec:true", "class": "tree"})], labels, ())
    with pytest.raises(
        ConfigError, match=r"unknown class 'xyz': the bundle has 6 classes: zero, one, two, three, four, "
    ):
        check_rules([parse_rule({"run": "exec:true", "class": "xyz"})], labels, ())
    with pytest.raises(ConfigError, match=r"action 1: unknown region 'dor': door, gate\."):
        check_rules([parse_rule({"run": "exec:true", "region": "dor"})], labels, ("door", "gate"))
    with pytest.raises(ConfigError, match="unknown region 'door': none has a name"):
        check_rules([parse_rule({"run": "exec:true", "region": "door"})], labels, ())


def test_the_file_has_tables(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        'watch = "five"\nsteady = "0.5s"\nroi = ["door=0,0,0.5,1"]\n[[action]]\nclass = "three"\nrun = "exec:true"\n'
        '[[action]]\nclass = ["three", "four"]\nrun = "gpio:17"\nquiet = "22:00-7:00"\n'
    )
    settings = Settings(**read_config(path))
    assert [rule.kind for rule in settings.action] == ["exec", "gpio"]
    assert settings.action[1].quiet == QuietHours(22 * 60, 7 * 60)
    assert settings.asked_for == ("five", "three", "four")
    assert settings.classify.watched == settings.asked_for
    path.write_text('watch = "five"\n[[action]]\nrun = "exec:true"\n')
    assert Settings(**read_config(path)).classify.watched == (), "a rule for every class"
    for text, message in (
        ("action = 3", "action is '3': expected tables, each under [[action]]."),
        ('[[action]]\nrun = "exec:true"\n[[action]]\nrun = "x"', "action 2: run is 'x'"),
        (
            '[[action]]\nrun = "exec:true"\nfps = 3',
            "action 1: 'fps' is a setting of the camera: put it before the first [[action]].",
        ),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError) as raised:
            read_config(path)
        assert message in str(raised.value) and str(path) in str(raised.value)
