"""Confidence intervals of shares: what few pictures can tell."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["wilson_interval"]

_Z_95: Final = 1.959964
"""The normal distribution's 97.5 % point."""


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """Where the true share lies with 95 % confidence when ``hits`` of ``count`` were seen (Wilson's score interval).

    Anywhere from 0 to 1 where nothing was seen. Source: E. B. Wilson, Journal of the American Statistical Association
    22 (1927), 209-212.
    """
    if not count:
        return 0.0, 1.0
    share, z2 = hits / count, _Z_95**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z_95 / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return round(max(0.0, middle - half), 4), round(min(1.0, middle + half), 4)
