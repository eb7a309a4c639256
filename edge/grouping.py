"""Commands that take settings as one dataclass: each of its fields with a :class:`~edge.settings.Doc` is an option."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

__all__ = ["grouped", "options_of"]


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """``command`` as typer wants it: with an option for each field of the dataclasses that it takes."""
    hints = get_type_hints(command, include_extras=True)
    parameters, groups = [], {}
    for name, parameter in inspect.signature(command).parameters.items():
        kind = hints[name]
        if isinstance(kind, type) and is_dataclass(kind):
            groups[name] = kind
            parameters += _options(kind)
        else:
            parameters.append(parameter.replace(annotation=kind, kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def run(**values: Any) -> None:
        settings = {name: kind(**{n: values.pop(n) for n in _documented(kind)}) for name, kind in groups.items()}
        command(**values, **settings)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def options_of(kind: type) -> tuple[str, ...]:
    """The names of the options that the fields of a dataclass make: ``--min-agreement``."""
    return tuple(
        (get_args(hint)[1].flags or (f"--{name.replace('_', '-')}",))[0] for name, hint in _documented(kind).items()
    )


def _documented(kind: type) -> dict[str, Any]:
    """The fields that are options, and their types with their :class:`Doc`."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in fields(kind) if get_origin(hints[field.name]) is Annotated}


def _options(kind: type) -> list[inspect.Parameter]:
    defaults = kind()
    return [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=_option(name, hint, default=default)
        )
        for name, hint in _documented(kind).items()
        for default in (getattr(defaults, name),)
    ]


def _option(name: str, hint: Any, *, default: object) -> Any:
    """The option of one field; a switch that is on, or that a file may turn on, can be turned off."""
    base, doc = get_args(hint)
    flag = f"--{name.replace('_', '-')}"
    can_be_off = base == (bool | None) or default is True
    flags = doc.flags or ((f"{flag}/--no-{flag[2:]}",) if can_be_off else (flag,))
    option = typer.Option(*flags, help=doc.text, min=doc.least, max=doc.most, metavar=doc.metavar, envvar=doc.envvar)
    return Annotated[base, option]
