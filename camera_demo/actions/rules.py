"""Which event leads to which action, and when: the tables ``[[action]]`` of a configuration."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from camera_demo.errors import ConfigError
from camera_demo.events import Event

__all__ = ["KINDS", "QuietHours", "Rule", "check_labels", "check_rules", "parse_rule"]

On = Literal["begin", "end", "both"]
KINDS: Final = ("exec", "webhook", "gpio")
_KEYS: Final = ("class", "run", "on", "region", "quiet", "min_interval_s", "timeout_s", "picture")
_SPAN: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\s*-\s*([01]?\d|2[0-3]):([0-5]\d)")
_LONGEST_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class QuietHours:
    """A part of each day in which nothing is done, in minutes of local time since midnight; it may span midnight."""

    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> QuietHours:
        """The hours in ``22:00-07:00``.

        >>> QuietHours.parse("22:00-07:00").holds(3 * 60)
        True

        Raises:
            ConfigError: The text is not two different times.
        """
        match = _SPAN.fullmatch(text.strip())
        times = [] if match is None else [60 * int(match[1]) + int(match[2]), 60 * int(match[3]) + int(match[4])]
        if len(set(times)) != 2:
            raise ConfigError(f"quiet is '{text}': expected two times of day, e.g. 22:00-07:00.")
        return cls(*times)

    def holds(self, minute: int) -> bool:
        """Whether a minute of the day is quiet; the first is, the last is not."""
        if self.start < self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One action and what leads to it."""

    kind: str
    """``exec``, ``webhook`` or ``gpio``."""
    target: str
    """The command, the address, or the pin."""
    labels: tuple[str, ...] = ()
    """The classes; none for every class that is announced."""
    region: str | None = None
    """The region's name; None for every region."""
    on: On = "begin"
    quiet: QuietHours | None = None
    min_interval_s: float = 1.0
    """Seconds from one time that it acts to the next."""
    timeout_s: float = 30.0
    """Seconds after which a command is killed."""
    picture: bool = False
    """Whether the JSON holds the best frame."""

    @property
    def name(self) -> str:
        """What it is, for people: a webhook's address may be a secret."""
        return self.kind if self.kind == "webhook" else f"{self.kind}:{self.target}"

    def concerns(self, event: Event) -> bool:
        """Whether the event is of a class and region of this rule."""
        return (not self.labels or event.label in self.labels) and self.region in (None, event.region)

    def allows(self, minute: int, since_last_s: float) -> bool:
        """Whether it may act.

        Args:
            minute: Minute of the local day.
            since_last_s: Seconds since it last acted.
        """
        return since_last_s >= self.min_interval_s and not (self.quiet is not None and self.quiet.holds(minute))


def parse_rule(table: Mapping[str, Any]) -> Rule:
    """The rule in a table ``[[action]]``.

    Raises:
        ConfigError: A key is unknown or missing, or a value is invalid.
    """
    for key in table:
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"expected some of {', '.join(_KEYS)}."
            raise ConfigError(f"unknown key '{key}': {hint}")
    kind, _, target = _text(table, "run").partition(":")
    if kind not in KINDS or not target.strip():
        raise ConfigError(
            f"run is '{_shown(kind, target)}': expected exec:COMMAND, webhook:https://HOST/PATH or gpio:PIN."
        )
    on = table.get("on", "begin")
    if on not in get_args(On):
        raise ConfigError(f"on is {_short(on)}: expected begin, end or both.")
    if kind == "gpio" and on != "begin":
        raise ConfigError("on does not go with gpio: a pin is active from the begin of an event to its end.")
    return Rule(
        kind=kind,
        target=target.strip(),
        labels=_labels(table.get("class", [])),
        region=_text(table, "region") if "region" in table else None,
        on="both" if kind == "gpio" else on,
        quiet=QuietHours.parse(_text(table, "quiet")) if "quiet" in table else None,
        min_interval_s=_seconds(table, "min_interval_s", 0.0 if kind == "gpio" else 1.0, least=0.0),
        timeout_s=_seconds(table, "timeout_s", 30.0, least=0.1),
        picture=_flag(table, "picture"),
    )


def check_rules(rules: Sequence[Rule], labels: Collection[str], regions: Collection[str]) -> None:
    """Refuse rules for classes and regions that do not exist.

    Args:
        rules: The rules.
        labels: The bundle's labels.
        regions: The regions' names.

    Raises:
        ConfigError: One does not exist; the message has those that do, or the nearest.
    """
    for number, rule in enumerate(rules, 1):
        check_labels(rule.labels, labels, f"action {number}")
        if rule.region is not None and rule.region not in regions:
            known = ", ".join(regions) if any(regions) else "none has a name: --roi door=0,0,0.5,1 gives one"
            raise ConfigError(f"action {number}: unknown region '{rule.region}': {known}.")


def check_labels(wanted: Sequence[str], labels: Collection[str], where: str) -> None:
    """Refuse labels that the bundle does not have.

    Raises:
        ConfigError: One does not exist; the message has the nearest, or some of those that do.
    """
    for label in wanted:
        if label not in labels:
            near = difflib.get_close_matches(label, list(labels), 1, 0.5)
            some = ", ".join(list(labels)[:5]) + (", ..." if len(labels) > 5 else "")
            hint = f"did you mean '{near[0]}'?" if near else f"the bundle has {len(labels)} classes: {some}"
            raise ConfigError(f"{where}: unknown class {_short(label)}: {hint}")


def _labels(value: Any) -> tuple[str, ...]:
    labels = [value] if isinstance(value, str) else value
    if not isinstance(labels, list) or not all(isinstance(label, str) and label for label in labels):
        raise ConfigError(f"class is {_short(value)}: expected a label in quotes, or a list of them.")
    return tuple(dict.fromkeys(labels))


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{key} is {'missing' if key not in table else _short(value)}: expected text in quotes.")
    return value


def _seconds(table: Mapping[str, Any], key: str, usual: float, *, least: float) -> float:
    value = table.get(key, usual)
    if type(value) not in (int, float) or not least <= value <= _LONGEST_S:
        raise ConfigError(f"{key} is {_short(value)}: expected seconds, {least:g} to {_LONGEST_S:.0f}.")
    return float(value)


def _flag(table: Mapping[str, Any], key: str) -> bool:
    value = table.get(key, False)
    if type(value) is not bool:
        raise ConfigError(f"{key} is {_short(value)}: expected true or false.")
    return value


def _shown(kind: str, target: str) -> str:
    """What was given, without an address that may be secret."""
    return f"{kind}:" if "/" in target or kind in KINDS else f"{kind}:{target}" if target else kind


def _short(value: object) -> str:
    return f"'{str(value)[:60]}'"
