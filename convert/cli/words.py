"""What was measured of a file, in words."""

from __future__ import annotations

from edge.manifest import Accuracy

__all__ = ["in_words"]


def in_words(accuracy: Accuracy) -> str:
    """``agrees with float on 93.6% (87.8 to 96.8) of 115 pictures``, and the accuracy where labels are known."""
    agreement = f"{accuracy.agreement:.1%}{_range(accuracy.agreement_range)}"
    words = f"agrees with float on {agreement} of {accuracy.pictures} held-out pictures"
    if accuracy.confident_agreement is not None:
        words += f", on {accuracy.confident_agreement:.1%} of the {accuracy.confident} that float is sure of"
    if accuracy.top1 is not None and accuracy.float_top1 is not None:
        top1 = f"{accuracy.top1:.1%}{_range(accuracy.top1_range)}"
        words += f"; top-1 {top1}, float {accuracy.float_top1:.1%} ({accuracy.labelled} labelled)"
    return words


def _range(ends: tuple[float, float] | None) -> str:
    return f" ({100 * ends[0]:.1f} to {100 * ends[1]:.1f})" if ends else ""
