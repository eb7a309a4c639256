"""Settings that a run does not use: said at the start, for one file of settings may serve several inputs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from camera_demo.settings import TOKEN_VARIABLE, Settings
from camera_demo.switching import is_switchable
from camera_demo.uri import Uri
from edge.board.affinity import excess_threads

__all__ = ["announce_unused", "unused_settings"]

_FORMAT: Final = ("input_width", "input_height", "input_rate", "input_codec")
_ASKED_OF: Final[Mapping[str, tuple[str, ...]]] = {"v4l2": _FORMAT, "csi": _FORMAT[:3]}
"""What of the capture format the cameras of a scheme are asked for; of no other source anything is."""


def announce_unused(settings: Settings, source: Uri, sinks: Sequence[Uri], announce: Callable[[str], None]) -> None:
    """Say what :func:`unused_settings` finds in this process's environment."""
    for line in unused_settings(settings, source, sinks, os.environ):
        announce(line)


def unused_settings(
    settings: Settings, source: Uri, sinks: Sequence[Uri], environment: Mapping[str, str]
) -> Iterator[str]:
    """A sentence for each setting that says nothing in this run, and on threads that are more than the CPUs.

    Args:
        settings: The settings.
        source: The input.
        sinks: The outputs.
        environment: The environment variables; a token among them is for many runs.
    """
    asked = _ASKED_OF.get(source.scheme.name, ())
    idle = [name for name in _FORMAT if getattr(settings, name) is not None and name not in asked]
    if idle:
        kind = "gives its pictures as they are" if source.scheme.is_live else "is not a camera"
        yield f"Not used: {', '.join(idle)}. {source.name} {kind}."
    if settings.wait and not source.scheme.is_live:
        yield f"Not used: wait. {source.name} is not a camera."
    has_page = any(sink.scheme.name == "http" for sink in sinks)
    if settings.token is not None and not has_page and settings.token != environment.get(TOKEN_VARIABLE):
        yield "Not used: token. No output is http://."
    if settings.switch_versions and not is_switchable(settings.model.bundle):
        yield f"Not used: switch_versions. {settings.model.bundle} is a folder, which has no versions."
    if excess := excess_threads(settings.threads):
        yield f"{excess}."
