"""The topics of one camera on a broker."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

__all__ = ["Topics", "segment", "slug"]

_LONGEST: Final = 60
_DIGEST_LETTERS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """Every topic of a camera: ``BASE/state``, and ``BASE/REGION/state`` for a region that has a name.

    >>> topics = Topics(base="attic", regions=("door",), watched=("cup",))
    >>> topics.state("door"), topics.seen()
    ('attic/door/state', ('attic/door/seen/cup',))
    """

    base: str
    regions: tuple[str, ...] = ()
    """The regions' names; none for answers about the whole picture."""
    watched: tuple[str, ...] = ()
    """The labels that have a topic each. Not their numbers, which another bundle may give to other labels."""

    @property
    def names(self) -> tuple[str, ...]:
        """The regions' names, an empty one where there are none."""
        return self.regions or ("",)

    def state(self, region: str) -> str:
        """The newest answer."""
        return f"{self._of(region)}/state"

    def event(self, region: str) -> str:
        """Each event."""
        return f"{self._of(region)}/event"

    def seen_of(self, region: str, label: str) -> str | None:
        """Whether a class is seen; None for one that is not watched."""
        return f"{self._of(region)}/seen/{segment(label)}" if label in self.watched else None

    def seen(self) -> tuple[str, ...]:
        """The topics of :meth:`seen_of` for every region and watched class."""
        pairs = [(region, label) for region in self.names for label in self.watched]
        return tuple(topic for pair in pairs if (topic := self.seen_of(*pair)) is not None)

    def _of(self, region: str) -> str:
        return f"{self.base}/{segment(region)}" if region else self.base


def slug(text: str) -> str:
    """``text`` in what may stand between two slashes of a topic: letters of any script, digits, _ and -."""
    return re.sub(r"[^\w-]+", "-", text).strip("-")[:_LONGEST]


def segment(name: str) -> str:
    """A name as a part of a topic. A digest keeps apart names that differ only in what topics cannot have.

    >>> segment("кухня"), segment("front door")
    ('кухня', 'front-door-727999')
    """
    readable = slug(name)
    if readable == name:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LETTERS]
    return f"{readable}-{digest}".strip("-")
