"""Options that say nothing without others, or beside others: refused before a command begins, not ignored."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final, get_type_hints

import typer

__all__ = ["Rule", "beside", "combined", "without"]

_CONTEXT: Final = "typer_context"


@dataclass(frozen=True, slots=True)
class Rule:
    """Options that do nothing in some company, and why."""

    options: tuple[str, ...]
    needed: tuple[str, ...] = ()
    """One of these must be given for them to count."""
    excluding: tuple[str, ...] = ()
    """None of these may be given."""
    reason: str = ""

    def refusal(self, given: Collection[str]) -> str:
        """What to say of the options that were given; empty where they may stay."""
        idle = [option for option in self.options if option in given]
        in_the_way = [option for option in self.excluding if option in given]
        if not idle or (self.excluding and not in_the_way) or any(option in given for option in self.needed):
            return ""
        company = f"beside {in_the_way[0]}" if in_the_way else f"without {' or '.join(self.needed)}"
        verb = "do" if len(idle) > 1 else "does"
        return f"{' and '.join(idle)} {verb} nothing {company}{f': {self.reason}' if self.reason else ''}."


def without(needed: str | tuple[str, ...], *options: str) -> Rule:
    """``options`` do nothing without ``needed``, or without one of several."""
    return Rule(options, needed=(needed,) if isinstance(needed, str) else needed)


def beside(other: str | tuple[str, ...], *options: str, reason: str = "") -> Rule:
    """``options`` do nothing beside ``other``, or beside any of several."""
    return Rule(options, excluding=(other,) if isinstance(other, str) else other, reason=reason)


def combined(*rules: Rule) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command whose options are held to ``rules``: a wrong command line, exit code 2, where one is broken.

    Above :func:`edge.grouping.grouped`, where a command has both.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, include_extras=True)
        parameters = [
            parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
            for name, parameter in inspect.signature(command).parameters.items()
        ]
        context = inspect.Parameter(_CONTEXT, inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)

        @functools.wraps(command)
        def run(*arguments: Any, **values: Any) -> None:
            found = values.pop(_CONTEXT, None)  # None where a program calls the function itself
            given = set[str]() if found is None else _given(found)
            for rule in rules:
                if refusal := rule.refusal(given):
                    raise _WrongCombination(refusal, ctx=found)
            command(*arguments, **values)

        run.__signature__ = inspect.Signature([*parameters, context])  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*parameters, context)}
        run.rules = rules  # type: ignore[attr-defined]
        return run

    return decorate


class _WrongCombination(typer.BadParameter):
    """Of several options, which typer's own words are not for."""

    def format_message(self) -> str:
        return self.message


def _given(context: typer.Context) -> set[str]:
    """The options on the command line, by all their names."""
    given = set()
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE":
            given |= {*parameter.opts}
    return given
