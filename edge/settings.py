"""Settings that say what they mean: the fields of an options dataclass, each ``Annotated`` with a :class:`Doc`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Doc"]


@dataclass(frozen=True, slots=True)
class Doc:
    """What a setting means, and between which numbers it lies."""

    text: str
    least: float | None = None
    most: float | None = None
    flags: tuple[str, ...] = ()
    """The options that set it, if they are not named as the field is."""
    metavar: str | None = None
    envvar: str | None = None
    """An environment variable that sets it, too."""
