"""What a classifier answered to labelled pictures, counted: by class, by confusion, and in plain sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np

from edge.evaluation.calibration import calibration_error, error_by_chance
from edge.evaluation.picture_answer import PictureAnswer
from edge.inference.prediction import UNKNOWN
from edge.intervals import wilson_interval

__all__ = ["NOTHING", "ClassResult", "Confusion", "Evaluation"]

NOTHING: Final = "(nothing)"
"""What the pictures of nothing in particular are listed as."""
_WIDE: Final = 0.3
"""A 95 % interval wider than this leaves too much open to tell whether a class is good enough."""
_FEW_NAMED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassResult:
    """How one class did."""

    label: str
    class_id: int
    pictures: int
    """Pictures that show it."""
    answers: int
    """Pictures that it was named for."""
    right: int
    """Pictures for which both hold."""
    unknown: int
    """Pictures that show it and were called unknown."""

    @property
    def recall(self) -> float | None:
        """Share of its pictures that it was named for; None without any."""
        return self.right / self.pictures if self.pictures else None

    @property
    def precision(self) -> float | None:
        """Share of the answers naming it that are right; None without any."""
        return self.right / self.answers if self.answers else None

    @property
    def recall_range(self) -> tuple[float, float]:
        """The 95 % confidence interval of the recall."""
        return wilson_interval(self.right, self.pictures)

    @property
    def precision_range(self) -> tuple[float, float]:
        """The 95 % confidence interval of the precision."""
        return wilson_interval(self.right, self.answers)

    def to_dict(self) -> dict[str, Any]:
        """The counts and shares as JSON values."""
        return {
            "label": self.label,
            "index": self.class_id,
            "pictures": self.pictures,
            "answers": self.answers,
            "right": self.right,
            "unknown": self.unknown,
            "recall": _rounded(self.recall),
            "recall_range": list(self.recall_range),
            "precision": _rounded(self.precision),
            "precision_range": list(self.precision_range),
        }


@dataclass(frozen=True, slots=True)
class Confusion:
    """Pictures of one class that another was named for, the surest answer first."""

    shown: int | None
    answer: int | None
    pictures: tuple[PictureAnswer, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """The answers of one model to labelled pictures."""

    model: str
    """Bundle and variant, or file."""
    measured_on: str
    """The pictures' folder."""
    labels: tuple[str, ...] = field(repr=False)
    answers: tuple[PictureAnswer, ...] = field(repr=False)
    unread: tuple[str, ...] = ()
    """Why each picture that cannot be read was passed over."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Folders that are named after no class, and the number of their pictures."""
    other_kinds: str = ""
    """Pictures of kinds that are not read, counted, e.g. ``3 .heic``."""

    @cached_property
    def classes(self) -> tuple[ClassResult, ...]:
        """The classes that pictures show or that were named, in the labels' order."""
        shown = Counter(one.shown for one in self.known)
        named = Counter(one.answer for one in self.answers if not (one.is_nothing and one.is_right))
        right = Counter(one.shown for one in self.known if one.is_right)
        unknown = Counter(one.shown for one in self.known if one.is_unknown)
        found = sorted(number for number in {*shown, *named} if number is not None)
        return tuple(
            ClassResult(
                label=self.labels[number],
                class_id=number,
                pictures=shown[number],
                answers=named[number],
                right=right[number],
                unknown=unknown[number],
            )
            for number in found
        )

    @cached_property
    def known(self) -> tuple[PictureAnswer, ...]:
        """The answers to pictures of the classes."""
        return tuple(one for one in self.answers if not one.is_nothing)

    @cached_property
    def nothing(self) -> tuple[PictureAnswer, ...]:
        """The answers to pictures of nothing in particular."""
        return tuple(one for one in self.answers if one.is_nothing)

    @property
    def right(self) -> int:
        """Pictures of the classes whose class was named."""
        return sum(one.is_right for one in self.known)

    @property
    def accuracy(self) -> float | None:
        """Their share, where unknown is no right answer; None without such pictures."""
        return self.right / len(self.known) if self.known else None

    @property
    def false_alarms(self) -> int:
        """Pictures of nothing in particular that a class was named for."""
        return sum(not one.is_right for one in self.nothing)

    @cached_property
    def calibration_error(self) -> float:
        """How far probabilities are from the share of right answers: :mod:`edge.evaluation.calibration`."""
        return calibration_error(self._probabilities, np.array([one.best == one.truth for one in self.known], bool))

    @cached_property
    def error_by_chance(self) -> float:
        """The calibration error that a perfectly calibrated classifier would show on as many pictures."""
        return error_by_chance(self._probabilities)

    @cached_property
    def confusions(self) -> tuple[Confusion, ...]:
        """What was taken for what, most often first; named classes before unknown."""
        groups: dict[tuple[int | None, int | None], list[PictureAnswer]] = {}
        for one in self.answers:
            if not one.is_right:
                groups.setdefault((one.shown, one.answer), []).append(one)
        ranked = sorted(groups.items(), key=lambda item: (item[0][1] is None, -len(item[1]), str(item[0])))
        return tuple(
            Confusion(shown, answer, tuple(sorted(ones, key=lambda one: -one.probability)))
            for (shown, answer), ones in ranked
        )

    def name_of(self, shown: int | None) -> str:
        """What a row of the confusion matrix is called."""
        return NOTHING if shown is None else self.labels[shown]

    def name_of_answer(self, answer: int | None) -> str:
        """What a column of the confusion matrix is called."""
        return UNKNOWN if answer is None else self.labels[answer]

    def is_right(self, shown: int | None, answer: int | None) -> bool:
        """Whether a cell of the confusion matrix counts right answers."""
        return shown == answer or (shown is None and answer in {one.truth for one in self.nothing})

    def matrix(self, rows: tuple[int | None, ...], columns: tuple[int | None, ...]) -> list[list[int]]:
        """How many pictures of each of ``rows`` were given each answer of ``columns``; None is nothing, or unknown."""
        counts = Counter((one.shown, one.answer) for one in self.answers)
        return [[counts[row, column] for column in columns] for row in rows]

    def findings(self) -> Iterator[str]:
        """What the figures say, in plain sentences."""
        if self.known:
            yield f"right on {self.right} of {len(self.known)} pictures: {_shares(self.right, len(self.known))}"
            if unknown := sum(one.is_unknown for one in self.known):
                rightly = sum(one.is_unknown and one.best != one.truth for one in self.known)
                yield f"unknown on {unknown} of them, {rightly} of which would have been wrong"
            error, chance = 100 * self.calibration_error, 100 * self.error_by_chance
            yield (
                f"probabilities are off by {error:.1f} points on average; by chance alone, {chance:.1f} would be "
                "expected on this many pictures"
            )
        if self.nothing:
            count = len(self.nothing)
            yield f"{self.false_alarms} of {count} pictures of nothing taken for a class: " + _shares(
                self.false_alarms, count
            )
        yield from self._too_few()
        if self.left_out:
            names = ", ".join(f"{name!r} ({count})" for name, count in list(self.left_out.items())[:_FEW_NAMED])
            yield f"left out, as their class is not known, by folder: {names}" + _more(len(self.left_out))
        if self.known and (missing := self._missing()):
            names = ", ".join(repr(label) for label in missing[:_FEW_NAMED])
            yield f"nothing is known of classes without pictures: {names}" + _more(len(missing))
        if self.other_kinds:
            yield f"not read, as they are of other kinds: {self.other_kinds}"
        if self.unread:
            pictures = "1 picture" if len(self.unread) == 1 else f"{len(self.unread)} pictures"
            yield f"{pictures} cannot be read. The first: {self.unread[0]}"

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        known = len(self.known)
        return {
            "model": self.model,
            "measured_on": self.measured_on,
            "pictures": known,
            "right": self.right,
            "accuracy": _rounded(self.accuracy),
            "accuracy_range": list(wilson_interval(self.right, known)),
            "unknown": sum(one.is_unknown for one in self.known),
            "calibration_error": _rounded(self.calibration_error),
            "calibration_error_by_chance": _rounded(self.error_by_chance),
            "nothing": len(self.nothing),
            "false_alarms": self.false_alarms,
            "classes": [one.to_dict() for one in self.classes],
            "confusions": [
                {"shown": self.name_of(c.shown), "named": self.name_of_answer(c.answer), "pictures": len(c.pictures)}
                for c in self.confusions
            ],
            "findings": list(self.findings()),
            "left_out": dict(self.left_out),
            "other_kinds": self.other_kinds,
            "unread": list(self.unread),
        }

    @property
    def _probabilities(self) -> Any:
        return np.array([one.probability for one in self.known], np.float64)

    def _missing(self) -> list[str]:
        shown = {one.truth for one in self.answers}
        return [label for number, label in enumerate(self.labels) if number not in shown]

    def _too_few(self) -> Iterator[str]:
        ranges = ((one, one.recall_range) for one in self.classes if one.pictures)
        wide = [(one, low, high) for one, (low, high) in ranges if high - low > _WIDE]
        for one, low, high in sorted(wide, key=lambda item: item[1])[:_FEW_NAMED]:
            pictures = "1 picture" if one.pictures == 1 else f"{one.pictures} pictures"
            yield f"{pictures} of {one.label!r}: recall between {100 * low:.0f} and {100 * high:.0f} %"
        if len(wide) > _FEW_NAMED:
            yield f"{len(wide) - _FEW_NAMED} more classes have too few pictures to tell"


def _shares(hits: int, count: int) -> str:
    """``86 %, between 78 and 92 %``."""
    low, high = wilson_interval(hits, count)
    return f"{hits / count:.0%}, between {100 * low:.0f} and {100 * high:.0f} %".replace("%,", " %,")


def _more(count: int) -> str:
    return f" and {count - _FEW_NAMED} more" if count > _FEW_NAMED else ""


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)
