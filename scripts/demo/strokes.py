"""How people write the ten digits with a marker, as strokes: pure data.

A form is one way to write a digit: strokes parted by ``/``, each a list of points ``x,y`` in hundredths of a box,
y downwards, joined by a smooth curve. A point given twice is a corner. ``FORMS[d]`` are the ways to write ``d``.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["FORMS", "strokes"]

FORMS: Final = (
    (
        "50,2 20,20 10,50 20,80 50,98 80,80 90,50 80,20 50,2",
        "62,6 30,8 10,50 25,90 60,97 88,65 82,20 50,4",
    ),
    (
        "50,0 50,100",
        "25,25 55,0 55,0 55,100",
        "25,25 55,0 55,0 55,100 / 25,100 85,100",
        "15,45 60,0 60,0 60,100",
    ),
    (
        "12,25 30,4 60,2 82,20 75,45 40,75 10,98 10,98 90,98",
        "15,22 40,2 75,10 78,40 50,75 20,96 12,84 30,80 60,95 90,90",
    ),
    (
        "15,12 45,0 78,12 75,36 42,47 42,47 80,58 85,82 50,100 12,88",
        "12,2 85,2 85,2 45,42 45,42 80,55 85,80 50,100 12,88",
    ),
    (
        "28,0 10,58 10,58 92,55 / 70,20 64,100",
        "66,100 66,0 66,0 8,66 8,66 94,66",
        "20,2 16,50 16,50 80,50 / 78,2 76,100",
    ),
    (
        "85,2 22,2 22,2 16,45 16,45 50,36 84,55 82,82 50,100 12,90",
        "24,5 18,44 18,44 50,38 85,62 70,94 40,100 12,92 / 24,4 86,2",
    ),
    (
        "75,3 35,25 14,60 25,92 55,100 84,82 78,56 50,48 20,65",
        "60,0 20,55 15,80 45,100 80,85 80,62 50,52 18,70",
    ),
    (
        "10,3 90,3 90,3 60,50 40,100",
        "10,3 90,3 90,3 60,50 40,100 / 32,52 82,48",
        "10,20 10,3 10,3 90,3 90,3 55,50 40,100",
    ),
    (
        "78,15 50,0 22,18 50,46 84,75 50,100 14,75 50,46 78,15",
        "50,46 22,24 50,0 78,24 50,46 / 50,46 14,73 50,100 86,73 50,46",
    ),
    (
        "80,25 55,2 20,12 18,40 50,52 80,30 80,30 74,100",
        "80,22 50,0 20,16 22,42 55,50 80,22 82,60 65,92 30,98",
    ),
)


def strokes(form: str) -> list[NDArray[np.float64]]:
    """The strokes of a form, each float64 (points, 2): x to the right and y downwards, both 0 to 1."""
    return [np.array([point.split(",") for point in stroke.split()], np.float64) / 100 for stroke in form.split("/")]
