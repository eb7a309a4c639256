"""When an answer is ``unknown``: the best class's probability is below what the bundle measured, or what you set."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from edge.errors import ConfidenceError

if TYPE_CHECKING:
    from edge.bundles.manifest import Artifact

__all__ = [
    "UNMEASURED_BELOW",
    "Unknown",
    "check_thresholds",
    "class_number",
    "class_thresholds",
    "parse_unknown",
    "unknown_below",
]

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
        probability = -1.0 if isinstance(text, bool) else float(text)
    except (TypeError, ValueError):
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


def check_thresholds(thresholds: Mapping[str, float]) -> None:
    """Refuse thresholds that are not probabilities.

    Raises:
        ConfidenceError: One is not a number between 0 and 1.
    """
    for label, value in thresholds.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise ConfidenceError(f"invalid threshold of {label!r}: {value!r}, expected a probability between 0 and 1.")


def class_thresholds(
    choice: Unknown, artifact: Artifact | None, thresholds: Mapping[str, float], labels: Sequence[str]
) -> Mapping[int, float]:
    """The classes that have a threshold of their own, by number; it replaces the general one.

    Args:
        choice: With ``auto`` those of the bundle count.
        artifact: The model file.
        thresholds: Yours, by label. They come before the bundle's, and count even with ``off``.
        labels: The classes' names.

    Raises:
        ConfidenceError: There is no class of that name, or a threshold is not a probability.
    """
    check_thresholds(thresholds)
    confidence = None if artifact is None or choice != "auto" else artifact.confidence
    found = {} if confidence is None else dict(confidence.class_below)
    for label, value in thresholds.items():
        class_number(label, labels)
        found.update({number: float(value) for number, name in enumerate(labels) if name == label})
    return found


def class_number(label: str, labels: Sequence[str]) -> int:
    """The first class of this name.

    Raises:
        ConfidenceError: There is none.
    """
    if label in labels:
        return labels.index(label)
    near = difflib.get_close_matches(label, labels, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"expected one of the {len(labels)} labels."
    raise ConfidenceError(f"There is no class {label!r}: {hint}")
