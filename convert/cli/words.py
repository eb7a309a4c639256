"""What was measured of a file, in words."""

from __future__ import annotations

from edge.manifest import Accuracy

__all__ = ["in_words"]


def in_words(accuracy: Accuracy) -> str:
    """``agrees with float on 93.6% of 115 held-out pictures``, and the accuracy where labels are known."""
    words = f"agrees with float on {accuracy.agreement:.1%} of {accuracy.pictures} held-out pictures"
    if accuracy.top1 is not None and accuracy.float_top1 is not None:
        words += f"; top-1 {accuracy.top1:.1%}, float {accuracy.float_top1:.1%} ({accuracy.labelled} labelled)"
    return words
