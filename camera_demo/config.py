"""The configuration file: TOML with the command line's options as keys."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from camera_demo.actions.rules import Rule, parse_rule
from camera_demo.errors import ConfigError
from camera_demo.settings import Settings
from edge.addresses import redacted
from edge.toml_file import read_toml
from edge.typed_json import typed_value, without_none

__all__ = ["read_config", "settings_of"]

_ACTION: Final = "action"
_CHANNEL: Final = "channel"

_WORDS: Final[Mapping[Any, str]] = {
    str: "text in quotes",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    tuple: "a list of texts",
    Mapping: "a table of numbers, as { cup = 0.8 }",
    list: "a text in quotes, or a list of them",
}


def read_config(path: Path) -> dict[str, Any]:
    """The settings in a file, by the names of :class:`camera_demo.settings.Settings`.

    Raises:
        ConfigError: The file is missing or not TOML, or a key or value in it is not a setting.
    """
    values = read_toml(path, ConfigError)
    hints = get_type_hints(Settings)
    known = [field.name for field in fields(Settings)]
    return {name: _checked(path, name, value, known, hints) for name, value in values.items()}


def settings_of(file: Mapping[str, Any], given: Mapping[str, Any]) -> Settings:
    """The settings of a file and of a command line, which wins; ``fps`` and ``budget_ms`` replace each other.

    Raises:
        ConfigError: A value is out of range.
    """
    rates = {"fps", "budget_ms"}
    kept = {name: value for name, value in file.items() if not (name in rates and rates & given.keys())}
    return Settings(**{**kept, **given})


def _checked(path: Path, name: str, value: Any, known: list[str], hints: Mapping[str, Any]) -> Any:
    if name not in known:
        if name == _CHANNEL:
            raise ConfigError(f"Configuration {path}: what a board follows is set in channel.toml beside it.")
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean '{near[0]}'?" if near else f"expected one of {', '.join(known)}."
        raise ConfigError(f"Configuration {path}: unknown key '{redacted(name)}': {hint}")
    if name == _ACTION:
        return _rules(path, value)
    kind = without_none(hints[name])
    is_alone = get_origin(kind) is list and isinstance(value, str)
    try:
        return typed_value(kind, [value] if is_alone else value, name)
    except TypeError as reason:
        shown = "***" if name == "token" else redacted(str(value))[:60]
        raise ConfigError(f"Configuration {path}: {name} is {shown!r}: expected {_words(kind)}.") from reason


def _rules(path: Path, tables: Any) -> tuple[Rule, ...]:
    """The rules of the tables ``[[action]]``."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(
            f"Configuration {path}: action is {redacted(str(tables))[:60]!r}: expected tables, each under [[action]]."
        )
    rules, settings = [], {field.name for field in fields(Settings)}
    for number, table in enumerate(tables, 1):
        if misplaced := sorted(table.keys() & settings):
            raise ConfigError(
                f"Configuration {path}: action {number}: '{misplaced[0]}' is a setting of the camera: put it before "
                "the first [[action]]."
            )
        try:
            rules.append(parse_rule(table))
        except ConfigError as reason:
            raise ConfigError(f"Configuration {path}: action {number}: {reason}") from reason
    return tuple(rules)


def _words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(map(str, get_args(kind)))
    return _WORDS[get_origin(kind) or kind]
