"""One minute of a running ``camera-demo``: what it answered, how fast, and how the board and the camera were."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from edge.board.health import Health
from edge.control.thermal import LIMIT_C, NEAR_C
from edge.errors import EdgeError
from edge.fleet.timestamps import parse_time
from edge.typed_json import OPEN, from_json

__all__ = ["MOST_LABELS", "OTHER", "HealthMinute", "VariantMinute", "is_hot", "parse_minute"]

MOST_LABELS: Final = 20
"""Labels that a minute counts one by one."""
OTHER: Final = "other"
"""What the answers of all other labels are counted as."""
_SCHEMA_VERSION: Final = 1
_BUSIER_PERCENT: Final = 50.0
_THROTTLED_NOW: Final = 0xF
"""The bits of ``vcgencmd get_throttled`` for the present."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantMinute:
    """What one variant did in a minute."""

    frames: int
    """Answers for which the model ran."""
    p95_ms: float
    """From a frame to its answer, as a profile's p95."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthMinute:
    """Figures of up to a minute of one camera, with one version of one bundle."""

    ended: str
    """When it was over: ISO 8601, UTC, by the board's clock."""
    seconds: float
    """How long it was: less than 60 at a start, an end or a switch."""
    camera: str = ""
    bundle: str
    version: str
    """The version of the bundle: :attr:`edge.bundles.bundle.Bundle.version`."""
    frames: int = 0
    """Answers."""
    late: int = 0
    """Those that took longer than the budget."""
    unknown: int = 0
    """Those that were unknown."""
    confidence: float | None = None
    """Mean probability of the best class, known or not; None without answers."""
    variants: Mapping[str, VariantMinute] = field(default_factory=dict, metadata=OPEN)
    """By the variant's name."""
    profile_p95_ms: Mapping[str, float] = field(default_factory=dict)
    """The profile that the variants were chosen by, in the first minute with it and once an hour."""
    labels: Mapping[str, int] = field(default_factory=dict)
    """Answers by label, the most frequent ones and :data:`OTHER`."""
    source_up: float = 0.0
    """Share of the time in which the camera gave frames."""
    restarts: int = 0
    """1 in the first minute after ``camera-demo`` ended by itself or was killed, the board running on; else 0."""
    hot: bool = False
    """Whether the board was throttled or held back, or too hot."""
    temperature_c: float | None = None
    """The highest."""
    load_percent: float | None = None
    """Mean work of other processes, in percent of one CPU."""
    refused: str = ""
    """A version that is active and could not be loaded, and why: ``VERSION: reason``."""
    boot: str = ""
    """Names the time since the kernel started."""
    stopped: bool = False
    """Whether ``camera-demo`` was asked to end, and did with this minute."""

    def __post_init__(self) -> None:
        parts = [minute.frames for minute in self.variants.values()]
        counts = (self.late, self.unknown, self.restarts, *self.labels.values(), *parts)
        numbers = (self.seconds, *self.profile_p95_ms.values(), *(minute.p95_ms for minute in self.variants.values()))
        shares = (self.source_up, self.confidence or 0.0)
        if not math.isfinite(self.temperature_c or 0.0):
            raise ValueError("temperature_c is not a number")
        if not all(math.isfinite(number) and number >= 0 for number in (*numbers, *counts, self.load_percent or 0.0)):
            raise ValueError("a figure is not a number of at least 0")
        if not all(0 <= share <= 1 for share in shares) or max(self.late, self.unknown, sum(parts)) > self.frames:
            raise ValueError("a share is not between 0 and 1")
        parse_time(self.ended)

    @property
    def ended_at_s(self) -> float:
        """When it was over, in seconds since 1970 by the board's clock."""
        return parse_time(self.ended).timestamp()

    @property
    def late_share(self) -> float:
        """Share of the answers that took longer than the budget."""
        return self.late / max(1, self.frames)

    @property
    def unknown_share(self) -> float:
        """Share of the answers that were unknown."""
        return self.unknown / max(1, self.frames)

    def is_busier(self, usual_percent: float) -> bool:
        """Whether other processes kept the board clearly busier than usual: by more than half a CPU."""
        return (self.load_percent or 0.0) > usual_percent + _BUSIER_PERCENT

    def to_line(self) -> str:
        """One line of JSON in ASCII, without what has its default."""
        defaults = {one.name: one.default for one in fields(self)}
        values: dict[str, Any] = {"schema_version": _SCHEMA_VERSION}
        values |= {name: value for name, value in asdict(self).items() if value not in ({}, defaults[name])}
        return json.dumps(values, ensure_ascii=True, allow_nan=False, separators=(",", ":")) + "\n"


def parse_minute(line: bytes) -> HealthMinute | None:
    """The minute in a line; None where it is half a line, of a newer schema, or holds anything impossible."""
    try:
        values = json.loads(line)
        if not isinstance(values, dict) or values.pop("schema_version", None) != _SCHEMA_VERSION:
            return None
        return from_json(HealthMinute, values, is_open=True)
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError, EdgeError):
        return None


def is_hot(health: Health) -> bool:
    """Whether heat or a weak power supply holds the board back."""
    limit_c = LIMIT_C if health.limit_c is None else health.limit_c
    is_over = health.temperature_c is not None and health.temperature_c >= limit_c - NEAR_C
    return is_over or bool(health.held_back) or bool((health.throttle_bits or 0) & _THROTTLED_NOW)
