"""Settings that say what they mean: the fields of an options dataclass, each ``Annotated`` with a :class:`Doc`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import get_type_hints

__all__ = ["Doc", "check_numbers"]


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


def check_numbers(options: object, error: type[Exception]) -> None:
    """Refuse numbers outside of what the options' own :class:`Doc` allows; for their ``__post_init__``.

    Raises:
        Exception: As ``error``: one is out of range, or not a number.
    """
    for name, hint in get_type_hints(type(options), include_extras=True).items():
        doc = next((one for one in getattr(hint, "__metadata__", ()) if isinstance(one, Doc)), None)
        value = getattr(options, name)
        if doc is None or doc.least is None or value is None:
            continue
        most = math.inf if doc.most is None else doc.most
        if isinstance(value, bool) or not isinstance(value, Real) or not doc.least <= float(value) <= most:
            allowed = f"at least {doc.least:g}" if doc.most is None else f"between {doc.least:g} and {doc.most:g}"
            raise error(f"{name} must be {allowed}, got {value!r}.")
