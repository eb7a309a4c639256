"""Latency profiles: what each variant takes on one board, and how far each figure may be trusted.

JSON keys follow LiteRT's ``litert-benchmark --result_json`` where it has them: ``init_ms``, ``warmup_first_ms``,
``avg_ms``, ``median_ms``, ``std_ms``, ``min_ms``, ``max_ms``, ``p95_ms``, ``num_runs``. ``profiles/schema.json``
describes the whole file.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np

from edge.errors import BudgetError, ProfileError
from edge.files import read_json, to_json, write_atomically
from edge.variant import Variant

__all__ = ["PERCENTILES", "SCHEMA_VERSION", "Latency", "LatencyProfile", "ProfileRow", "Provenance", "load_profile"]

SCHEMA_VERSION: Final = 1
PERCENTILES: Final = ("p50", "p90", "p95", "p99", "avg", "max")
"""What a budget may be held against."""
Provenance = Literal["measured", "published", "predicted"]

_WORDS: Final = {str: "text", int: "a whole number", bool: "true or false", dict: "an object", list: "a list"}
_KINDS: Final[Mapping[str, type]] = {
    **dict.fromkeys(("bundle", "created", "backend", "backend_version"), str),
    **dict.fromkeys(("device", "before", "after"), dict),
    **dict.fromkeys(("frame_size", "objections", "variants"), list),
    "threads": int,
    "valid": bool,
}
"""What JSON must hold for the fields that later code relies on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds per frame over many runs."""

    init_ms: float
    """Time to load the model and allocate its tensors."""
    warmup_first_ms: float
    """The first run, which later figures leave out."""
    avg_ms: float
    std_ms: float
    min_ms: float
    median_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    num_runs: int

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, bool) or not math.isfinite(value) or value < 0:
                raise ProfileError(f"{name} is {value}: expected a number of milliseconds")
        rising = (self.min_ms, self.median_ms, self.p90_ms, self.p95_ms, self.p99_ms, self.max_ms)
        if any(a > b for a, b in itertools.pairwise(rising)):
            raise ProfileError(f"percentiles fall: min to max are {', '.join(f'{v:g}' for v in rising)} ms")
        if not isinstance(self.num_runs, int) or self.num_runs < 1:
            raise ProfileError(f"num_runs is {self.num_runs}: expected at least one")

    @classmethod
    def of(cls, samples_ms: Sequence[float], *, init_ms: float, warmup_first_ms: float) -> Latency:
        """Summarize the samples of one variant, at least one of them."""
        values = np.asarray(samples_ms, np.float64)
        median, p90, p95, p99 = np.percentile(values, [50, 90, 95, 99])
        figures = {"avg_ms": values.mean(), "std_ms": values.std(), "min_ms": values.min(), "median_ms": median}
        figures |= {"p90_ms": p90, "p95_ms": p95, "p99_ms": p99, "max_ms": values.max()}
        rounded = {key: round(float(value), 4) for key, value in figures.items()}
        return cls(
            init_ms=round(init_ms, 3), warmup_first_ms=round(warmup_first_ms, 4), num_runs=len(values), **rounded
        )

    def percentile(self, name: str) -> float:
        """The figure called ``name``, one of :data:`PERCENTILES`, in milliseconds.

        Raises:
            BudgetError: There is no such figure.
        """
        if name not in PERCENTILES:
            raise BudgetError(f"There is no percentile '{name}': expected one of {', '.join(PERCENTILES)}.")
        value: float = getattr(self, {"p50": "median_ms"}.get(name, f"{name}_ms"))
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRow:
    """One variant's latency on the board: from a frame to its answer, and the share of the model in it."""

    variant: Variant
    latency: Latency
    """One call of the classifier: preprocessing, inference and top-k."""
    infer_ms: float
    """Median of the inference alone."""
    model_sha256: str
    peak_rss_mb: float
    provenance: Provenance = "measured"

    def __post_init__(self) -> None:
        if self.provenance not in get_args(Provenance):
            raise ProfileError(f"source '{self.provenance}' is none of {', '.join(get_args(Provenance))}")
        if not all(math.isfinite(value) and value >= 0 for value in (self.infer_ms, self.peak_rss_mb)):
            raise ProfileError(f"{self.variant.name} has impossible figures")


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyProfile:
    """What the variants of one bundle take on one board, with one backend and thread count."""

    bundle: str
    created: str
    """ISO 8601, UTC."""
    device: Mapping[str, Any]
    """The board, as :class:`edge.device.Device` describes it."""
    backend: str
    backend_version: str
    threads: int
    frame_size: tuple[int, int]
    """Width and height of the frames classified, in pixels."""
    before: Mapping[str, Any]
    """:class:`edge.health.Health` when the measurement began."""
    after: Mapping[str, Any]
    valid: bool
    """Whether nothing was seen that makes the figures doubtful."""
    objections: tuple[str, ...]
    """What was seen."""
    rows: tuple[ProfileRow, ...]
    source: str | None = None
    """Who published the figures; None for this machine's own."""

    def __post_init__(self) -> None:
        names = [row.variant.name for row in self.rows]
        if len(set(names)) != len(names):
            raise ProfileError(f"{next(n for n in names if names.count(n) > 1)} stands there twice")
        if self.threads < 1:
            raise ProfileError(f"threads is {self.threads}: expected at least 1")
        if len(self.frame_size) != 2 or min(self.frame_size) < 1:
            raise ProfileError(f"frame_size is {list(self.frame_size)}: expected a width and a height in pixels")
        if self.valid == bool(self.objections):
            raise ProfileError("valid contradicts the objections")
        if not self.source and any(row.provenance == "published" for row in self.rows):
            raise ProfileError("published figures lack a source, who published them")

    def find(self, variant: Variant) -> ProfileRow | None:
        """The row of ``variant``, if it was measured."""
        return next((row for row in self.rows if row.variant == variant), None)

    def to_dict(self) -> dict[str, Any]:
        """The profile as JSON values, with its schema version first."""
        rows = []
        for row in self.rows:
            figures = {"infer_ms": row.infer_ms, "peak_rss_mb": row.peak_rss_mb, "model_sha256": row.model_sha256}
            rows.append({"variant": row.variant.name, "source": row.provenance, **asdict(row.latency), **figures})
        values = {name: getattr(self, name) for name in self.__slots__ if name != "rows"}
        values |= {"objections": list(self.objections), "frame_size": list(self.frame_size)}
        values |= {name: dict(values[name]) for name in ("device", "before", "after")}
        return {"schema_version": SCHEMA_VERSION, **values, "variants": rows}

    def save(self, path: Path) -> None:
        """Write the profile as JSON, atomically.

        Raises:
            OutputError: The file cannot be written.
        """
        write_atomically(path, to_json(self.to_dict()))


def load_profile(path: Path) -> LatencyProfile:
    """Read a profile.

    Raises:
        ProfileError: The file is missing or damaged, or a value in it is missing or impossible.
    """
    values = read_json(path, "latency profile", ProfileError)
    version = values.pop("schema_version", None)
    if version != SCHEMA_VERSION:
        newer = isinstance(version, int) and version > SCHEMA_VERSION
        raise ProfileError(
            f"Latency profile {path} has schema {version!r}, this version reads {SCHEMA_VERSION}: "
            + ("update mobilenet-edge." if newer else "measure again with edge profile.")
        )
    try:
        for name, kind in _KINDS.items():
            if type(values[name]) is not kind:
                raise ProfileError(f"{name} is {json.dumps(values[name])[:40]}: expected {_WORDS[kind]}")
        if not isinstance(values.get("source"), str | None):
            raise ProfileError("source is neither text nor null")
        rows = tuple(_row(row) for row in values.pop("variants"))
        values |= {"objections": tuple(values["objections"]), "frame_size": tuple(values["frame_size"])}
        return LatencyProfile(rows=rows, **values)
    except KeyError as reason:
        raise ProfileError(f"Latency profile {path} lacks {reason}: measure again with edge profile.") from reason
    except (TypeError, ValueError, AttributeError, OverflowError) as reason:
        cause = str(reason).rstrip(".")
        message = f"Latency profile {path} cannot be used: {cause}. Measure again with edge profile."
        raise ProfileError(message) from reason


def _row(values: Mapping[str, Any]) -> ProfileRow:
    figures = {name: values[name] for name in Latency.__slots__}
    return ProfileRow(
        variant=Variant.parse(values["variant"]),
        latency=Latency(**figures),
        infer_ms=values["infer_ms"],
        model_sha256=values["model_sha256"],
        peak_rss_mb=values["peak_rss_mb"],
        provenance=values["source"],
    )
