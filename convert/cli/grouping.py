"""Commands that take settings as one dataclass: each of its fields becomes an option."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from convert.options import Doc

__all__ = ["grouped"]


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
        settings = {name: kind(**{f.name: values.pop(f.name) for f in fields(kind)}) for name, kind in groups.items()}
        command(**values, **settings)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _options(kind: type) -> list[inspect.Parameter]:
    defaults, hints = kind(), get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=getattr(defaults, field.name),
            annotation=_option(field.name, hints[field.name], getattr(defaults, field.name)),
        )
        for field in fields(kind)
    ]


def _option(name: str, hint: Any, default: object) -> Any:
    assert get_origin(hint) is Annotated, f"{name} has no Doc"
    base, doc = get_args(hint)
    assert isinstance(doc, Doc)
    flags = (doc.flag or f"--{name.replace('_', '-')}",) if doc.flag or default is False else ()
    return Annotated[base, typer.Option(*flags, help=doc.text, min=doc.least, max=doc.most)]
