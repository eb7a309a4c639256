"""From events to actions, by the rules."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from camera_demo.actions.base import Action
from camera_demo.actions.command import CommandAction
from camera_demo.actions.gpio import GpioAction, pin_of
from camera_demo.actions.rules import Rule
from camera_demo.actions.webhook import WebhookAction
from camera_demo.errors import ConfigError
from camera_demo.events import Event

__all__ = ["Actions"]


class Actions:
    """Every rule with its action. An event passes through in microseconds, whatever the actions take.

    The end of an event leads to an action only where its begin did: what is begun in quiet hours is not ended.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        camera: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        local_minute: Callable[[], int] | None = None,
    ) -> None:
        """Open the action of each rule.

        Args:
            rules: The rules.
            camera: The camera's name.
            clock: Seconds; a monotonic one.
            local_minute: Minute of the local day; None for this machine's.

        Raises:
            ConfigError: An action cannot be opened; the message has the rule's number.
        """
        self._clock, self._local_minute = clock, local_minute or _local_minute
        self._opened = ExitStack()
        self._rules: list[tuple[Rule, Action]] = []
        self._acted_s: dict[int, float] = {}
        self._begun: dict[int, set[tuple[str, int]]] = {}
        pins: dict[int, Action] = {}
        try:
            for number, rule in enumerate(rules, 1):
                self._rules.append((rule, self._open(number, rule, camera, pins)))
        except BaseException:
            self._opened.close()
            raise

    def on_event(self, event: Event) -> None:
        """Do what the rules say. Never waits."""
        for number, (rule, action) in enumerate(self._rules):
            if rule.concerns(event) and self._is_due(number, rule, event):
                action.act(event if rule.picture else replace(event, image=None))

    def close(self) -> None:
        """Finish what was begun. A second call does nothing."""
        self._opened.close()

    def _is_due(self, number: int, rule: Rule, event: Event) -> bool:
        begun, key = self._begun.setdefault(number, set()), (event.region, event.number)
        if event.is_over and rule.on == "both":
            is_begun = key in begun
            begun.discard(key)
            return is_begun
        if rule.on == ("begin" if event.is_over else "end"):
            return False
        now_s = self._clock()
        if not rule.allows(self._local_minute(), now_s - self._acted_s.get(number, float("-inf"))):
            return False
        self._acted_s[number] = now_s
        if rule.on == "both":
            begun.add(key)
        return True

    def _open(self, number: int, rule: Rule, camera: str, pins: dict[int, Action]) -> Action:
        try:
            if rule.kind == "gpio":
                return self._pin(rule, pins)
            action = CommandAction(rule, camera) if rule.kind == "exec" else WebhookAction(rule, camera)
        except ConfigError as reason:
            raise ConfigError(f"action {number}: {reason}") from reason
        self._opened.callback(action.close)
        return action

    def _pin(self, rule: Rule, pins: dict[int, Action]) -> Action:
        """The pin's action, which rules share."""
        pin = pin_of(rule.target)[0]
        if pin not in pins:
            pins[pin] = GpioAction(rule)
            self._opened.callback(pins[pin].close)
        return pins[pin]


def _local_minute() -> int:
    now = time.localtime()
    return 60 * now.tm_hour + now.tm_min
