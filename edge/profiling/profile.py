"""Latency profiles: what each variant takes on one board, and how far each figure may be trusted.

``profiles/schema.json`` describes the file, ``profiles/README.md`` the meaning of each field.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, get_args

from edge.bundles.variant import Variant
from edge.errors import ProfileError
from edge.files import read_json, to_json, write_atomically
from edge.profiling.latency import Latency

__all__ = ["SCHEMA_VERSION", "HeatPoint", "LatencyProfile", "ProfileRow", "Provenance", "load_profile"]

SCHEMA_VERSION: Final = 2
Provenance = Literal["measured", "published", "predicted"]

_WORDS: Final = {str: "text", int: "a whole number", bool: "true or false", dict: "an object", list: "a list"}
_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    **dict.fromkeys(("bundle", "created", "backend", "backend_version"), (str,)),
    **dict.fromkeys(("device", "before", "after"), (dict,)),
    **dict.fromkeys(("objections", "variants", "cpus", "sustained"), (list,)),
    "frame_size": (list, type(None)),
    "threads": (int, type(None)),
    "source": (str, type(None)),
    "valid": (bool,),
}
"""What JSON must hold for the fields that later code relies on."""
_ROW_FIGURES: Final = (
    *("preprocess_ms", "infer_ms", "top_k_ms", "cpu_ms"),
    *("peak_rss_mb", "sustained_p95_ms", "energy_mj"),
)
_LATER: Final[Mapping[str, Any]] = {"cpus": [], "sustained": [], "source": None, "load_percent": None}
"""Fields that may be absent, and what they are then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRow:
    """One variant's latency on the board: from a frame to its answer, and the shares of it."""

    variant: Variant
    latency: Latency
    """One call of the classifier: preprocessing, inference and top-k; of published figures the inference alone."""
    num_threads: int | None = None
    """Threads of the inference; None where the source does not say."""
    precision: str | None = None
    """Of the model file: ``int8``, ``fp16``, ``fp32``, or ``uint8`` of Google's files."""
    model_sha256: str | None = None
    preprocess_ms: float | None = None
    """Median of the preprocessing alone, as the next two of the inference and of the top-k."""
    infer_ms: float | None = None
    top_k_ms: float | None = None
    cpu_ms: float | None = None
    """CPU time of all threads for one frame."""
    peak_rss_mb: float | None = None
    """Peak memory of the process while this variant ran alone."""
    sustained_p95_ms: float | None = None
    """The 95th percentile once the board was as warm as it gets."""
    energy_mj: float | None = None
    """Energy of the whole board for one frame, run back to back."""
    includes_transfers: bool | None = None
    """Whether the inference includes copying to the accelerator and back."""
    cuda_graph: bool | None = None
    """Whether it ran as one captured CUDA graph."""
    provenance: Provenance = "measured"

    def __post_init__(self) -> None:
        name = self.variant.name
        if self.provenance not in get_args(Provenance):
            raise ProfileError(f"source '{self.provenance}' is none of {', '.join(get_args(Provenance))}")
        for field in _ROW_FIGURES:
            value = getattr(self, field)
            if value is not None and (isinstance(value, bool) or not math.isfinite(value) or value < 0):
                raise ProfileError(f"{field} of {name} is {value}: expected a number of at least 0")
        if self.num_threads is not None and (type(self.num_threads) is not int or self.num_threads < 1):
            raise ProfileError(f"num_threads of {name} is {self.num_threads}: expected at least 1")
        if self.provenance == "measured":
            known = (self.infer_ms, self.peak_rss_mb, self.num_threads, self.model_sha256)
            if not self.latency.is_complete or None in known:
                raise ProfileError(f"{name} is called measured, but lacks figures that every measurement has")

    def to_dict(self) -> dict[str, Any]:
        """The row as flat JSON values, without what is not known."""
        values = {field.name: getattr(self, field.name) for field in fields(self)[2:-1]}
        flat = {"variant": self.variant.name, "source": self.provenance, **asdict(self.latency), **values}
        return {name: value for name, value in flat.items() if value is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ProfileRow:
        """What :meth:`to_dict` gave.

        Raises:
            ProfileError: A value is impossible.
            KeyError: A value is missing.
            TypeError: A value has another type, or there is one too many.
        """
        rest = dict(values)
        variant, provenance = Variant.parse(rest.pop("variant")), rest.pop("source")
        rest["avg_ms"]  # the only figure that no row may lack
        figures = {field.name: rest.pop(field.name) for field in fields(Latency) if field.name in rest}
        return cls(variant=variant, latency=Latency(**figures), provenance=provenance, **rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatPoint:
    """The board at one moment of a sustained run; what it does not tell is None."""

    at_s: float
    """Seconds since the run began."""
    slowdown: float
    """What frames took, as a multiple of what they took at the beginning."""
    temperature_c: float | None = None
    clock_mhz: int | None = None
    """Of the fastest CPU."""
    throttle_bits: int | None = None
    power_w: float | None = None

    def __post_init__(self) -> None:
        numbers = [value for value in asdict(self).values() if value is not None]
        if not all(math.isfinite(value) for value in numbers) or self.at_s < 0 or self.slowdown <= 0:
            raise ProfileError(f"sustained holds an impossible point, at {self.at_s} s")


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyProfile:
    """What the variants of one bundle take on one board with one backend."""

    bundle: str
    created: str
    """ISO 8601, UTC."""
    device: Mapping[str, Any]
    """The board, as :class:`edge.board.device.Device` describes it."""
    backend: str
    backend_version: str
    threads: int | None
    """Threads of every variant; None where each has its own, or the source does not say."""
    frame_size: tuple[int, int] | None
    """Width and height of the frames classified, in pixels; None where the inference alone was timed."""
    cpus: tuple[int, ...] = ()
    """The CPUs that the process was bound to; empty for no bounds."""
    before: Mapping[str, Any]
    """:class:`edge.board.health.Health` when the measurement began."""
    after: Mapping[str, Any]
    load_percent: float | None = None
    """Work of other processes during the measurement, in percent of one CPU."""
    valid: bool
    """Whether nothing was seen that makes the figures doubtful."""
    objections: tuple[str, ...]
    """What was seen."""
    source: str | None = None
    """Who published the figures; None for this machine's own."""
    sustained: tuple[HeatPoint, ...] = ()
    """The course of a sustained run, if there was one."""
    rows: tuple[ProfileRow, ...]

    def __post_init__(self) -> None:
        names = [row.variant.name for row in self.rows]
        if len(set(names)) != len(names):
            raise ProfileError(f"{next(n for n in names if names.count(n) > 1)} stands there twice")
        if self.threads is not None and self.threads < 1:
            raise ProfileError(f"threads is {self.threads}: expected at least 1")
        if self.frame_size is not None and not _is_size(self.frame_size):
            raise ProfileError(f"frame_size is {list(self.frame_size)}: expected a width and a height in pixels")
        if self.valid == bool(self.objections):
            raise ProfileError("valid contradicts the objections")
        if not self.source and any(row.provenance == "published" for row in self.rows):
            raise ProfileError("published figures lack a source, who published them")
        if self.load_percent is not None and not (math.isfinite(self.load_percent) and self.load_percent >= 0):
            raise ProfileError(f"load_percent is {self.load_percent}: expected a number of at least 0")

    def find(self, variant: Variant) -> ProfileRow | None:
        """The row of ``variant``, if there is one."""
        return next((row for row in self.rows if row.variant == variant), None)

    @property
    def board(self) -> str:
        """The board's name, for people."""
        return str(self.device.get("board") or "this machine")

    def to_dict(self) -> dict[str, Any]:
        """The profile as JSON values, with its schema version first."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "rows"}
        values |= {name: list(values[name]) for name in ("objections", "cpus")}
        values |= {"frame_size": None if self.frame_size is None else list(self.frame_size)}
        values |= {"sustained": [asdict(point) for point in self.sustained]}
        values |= {name: dict(values[name]) for name in ("device", "before", "after")}
        return {"schema_version": SCHEMA_VERSION, **values, "variants": [row.to_dict() for row in self.rows]}

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
        return _profile({**_LATER, **values})
    except KeyError as reason:
        raise ProfileError(f"Latency profile {path} lacks {reason}: measure again with edge profile.") from reason
    except (TypeError, ValueError, AttributeError, OverflowError) as reason:
        cause = str(reason).rstrip(".")
        message = f"Latency profile {path} cannot be used: {cause}. Measure again with edge profile."
        raise ProfileError(message) from reason


def _profile(values: dict[str, Any]) -> LatencyProfile:
    for name, kinds in _KINDS.items():
        if type(values[name]) not in kinds:
            raise ProfileError(f"{name} is {json.dumps(values[name])[:40]}: expected {_WORDS[kinds[0]]}")
    rows = tuple(ProfileRow.from_dict(row) for row in values.pop("variants"))
    values |= {name: tuple(values[name]) for name in ("objections", "cpus")}
    values |= {"sustained": tuple(HeatPoint(**point) for point in values["sustained"])}
    if values["frame_size"] is not None:
        values["frame_size"] = tuple(values["frame_size"])
    return LatencyProfile(rows=rows, **values)


def _is_size(size: tuple[int, int]) -> bool:
    return len(size) == 2 and all(type(side) is int and side > 0 for side in size)
