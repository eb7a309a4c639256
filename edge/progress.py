"""How long work tells how far it is: one type of callback for every room."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Progress", "no_progress", "part_of"]

Progress = Callable[[str, float], None]
"""Called with what is at work and the share that is done, 0 to 1."""


def no_progress(stage: str, share: float) -> None:
    """Ignore progress: the default of everything that reports it."""


def part_of(progress: Progress, start: float, length: float, prefix: str = "") -> Progress:
    """The progress of one part, reported as progress of the whole.

    Args:
        progress: The callback for the whole.
        start: The share at which the part begins, 0 to 1.
        length: The share that the part takes.
        prefix: What to put before the part's stages.
    """
    return lambda stage, share: progress(f"{prefix}{stage}", start + length * share)
