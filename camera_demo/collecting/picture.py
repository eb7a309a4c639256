"""One collected picture, and its line of JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Collected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """One picture and what was known when it was kept."""

    file: str
    time: str
    """ISO 8601, UTC."""
    why: str
    """``asked``, ``unknown``, ``unsure``, ``every`` or ``share``; ``found`` for a picture without a line."""
    guesses: tuple[tuple[str, float], ...] = ()
    """The best classes, best first, with their probabilities."""
    unknown: bool = False
    variant: str = ""
    region: str = ""
    novelty: float = 0.0
    """How far it was from every picture that was there, in mean levels of 255."""
    size_bytes: int = field(default=0, compare=False)

    @property
    def guess(self) -> str:
        """The best class; empty where none is known."""
        return self.guesses[0][0] if self.guesses else ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "file": self.file,
            "time": self.time,
            "why": self.why,
            "guesses": [{"label": label, "probability": round(p, 4)} for label, p in self.guesses],
            "unknown": self.unknown,
            "variant": self.variant,
            "region": self.region,
            "novelty": round(min(self.novelty, 255.0), 2),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Collected:
        """From what :meth:`to_dict` gave.

        Raises:
            ValueError: It did not.
        """
        try:
            guesses = tuple((str(guess["label"]), float(guess["probability"])) for guess in values["guesses"])
            texts: dict[str, Any] = {
                name: str(values.get(name, "")) for name in ("file", "time", "why", "variant", "region")
            }
            if Path(texts["file"]).name != texts["file"]:
                raise ValueError("not a file's name")
            novelty = float(values.get("novelty", 0))
            return cls(**texts, guesses=guesses, unknown=bool(values.get("unknown")), novelty=novelty)
        except (KeyError, TypeError) as reason:
            raise ValueError(str(reason)) from reason
