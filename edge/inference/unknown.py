"""When an answer is ``unknown``: the best class's probability is below what the bundle measured, or what you set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from edge.errors import ConfidenceError

if TYPE_CHECKING:
    from edge.bundles.manifest import Artifact

__all__ = ["UNMEASURED_BELOW", "Unknown", "parse_unknown", "unknown_below"]

Unknown: TypeAlias = "Literal['auto', 'off'] | float"
"""``auto``: the bundle's own threshold; ``off``: every answer is the best class; or a probability from 0 to 1."""
UNMEASURED_BELOW: Final = 0.3
"""For files whose bundle has no threshold: see ``docs/confidence.md`` for what it does."""


def parse_unknown(text: str | float) -> Unknown:
    """The value of ``--unknown``.

    >>> parse_unknown("0.4")
    0.4

    Raises:
        ConfidenceError: It is neither ``auto``, ``off`` nor a probability.
    """
    if text == "auto":
        return "auto"
    if text == "off":
        return "off"
    try:
        probability = float(text)
    except ValueError:
        probability = -1.0
    if not 0 <= probability <= 1:
        raise ConfidenceError(f"invalid unknown '{text}': expected auto, off or a probability between 0 and 1.")
    return probability


def unknown_below(choice: Unknown, artifact: Artifact | None) -> float:
    """The probability of the best class below which an answer of this file is unknown; 0 for never.

    Raises:
        ConfidenceError: ``choice`` is not valid.
    """
    chosen = parse_unknown(choice)
    if chosen == "off":
        return 0.0
    if chosen != "auto":
        return float(chosen)
    confidence = None if artifact is None else artifact.confidence
    return UNMEASURED_BELOW if confidence is None else confidence.unknown_below
