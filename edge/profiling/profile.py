"""Latency profiles: what each variant takes on one board, and where each figure comes from.

``profiles/schema.json`` describes the file, ``profiles/README.md`` the meaning of each field.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal

from edge.board.device import Device
from edge.board.health import Health
from edge.bundles.variant import Variant
from edge.errors import ProfileError
from edge.files import write_atomically
from edge.json_files import read_json, to_json
from edge.paths import AnyPath
from edge.profiling.equal_board import EqualBoard
from edge.profiling.latency import Latency
from edge.text import shortened
from edge.typed_json import FLAT, OPEN, from_json, named

__all__ = ["SCHEMA_VERSION", "HeatPoint", "LatencyProfile", "ProfileRow", "Provenance", "load_profile"]

SCHEMA_VERSION: Final = 2
Provenance = Literal["measured", "published", "predicted"]

_ROW_FIGURES: Final = (
    *("preprocess_ms", "infer_ms", "top_k_ms", "cpu_ms"),
    *("peak_rss_mb", "sustained_p95_ms", "energy_mj"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRow:
    """One variant's latency on the board: from a frame to its answer, and its stages."""

    variant: Variant
    latency: Latency = field(metadata=FLAT)
    """One call of the classifier: preprocessing, inference and top-k; for published figures the inference alone."""
    provenance: Provenance = field(metadata=named("source"))
    num_threads: int | None = None
    """Threads of the inference; None where the source does not say."""
    precision: str | None = None
    """Of the model file: ``int8``, ``fp16``, ``fp32``, or ``uint8`` for Google's files."""
    model_sha256: str | None = None
    preprocess_ms: float | None = None
    """Median of the preprocessing alone; the next two are those of the inference and of the top-k."""
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

    def __post_init__(self) -> None:
        name = self.variant.name
        for figure in _ROW_FIGURES:
            value = getattr(self, figure)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ProfileError(f"{figure} of {name} is {value}: expected a number of at least 0")
        if self.num_threads is not None and self.num_threads < 1:
            raise ProfileError(f"num_threads of {name} is {self.num_threads}: expected at least 1")
        if self.provenance == "measured":
            known = (self.infer_ms, self.peak_rss_mb, self.num_threads, self.model_sha256)
            if not self.latency.is_complete or None in known:
                raise ProfileError(f"{name} is marked as measured, but lacks figures that every measurement has")

    def to_dict(self) -> dict[str, Any]:
        """The row as flat JSON values, without what is not known."""
        values = {one.name: getattr(self, one.name) for one in fields(self)[3:]}
        flat = {"variant": self.variant.name, "source": self.provenance, **asdict(self.latency), **values}
        return {name: value for name, value in flat.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatPoint:
    """The board at one moment of a sustained run; what it does not report is None."""

    at_s: float
    """Seconds since the run began."""
    slowdown: float
    """The latency as a multiple of that at the beginning."""
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
    """The latencies of the variants of one bundle on one board with one backend."""

    bundle: str
    created: str
    """ISO 8601, UTC."""
    device: Device = field(metadata=OPEN, repr=False)
    backend: str
    backend_version: str
    threads: int | None
    """Threads of every variant; None where each has its own, or the source does not say."""
    frame_size: tuple[int, int] | None
    """Width and height of the frames that were classified, in pixels; None where the inference alone was timed."""
    cpus: tuple[int, ...] = ()
    """The CPUs that the process was bound to; empty for no bounds."""
    before: Health = field(metadata=OPEN, repr=False)
    """The machine when the measurement began."""
    after: Health = field(metadata=OPEN, repr=False)
    """The machine when it ended."""
    load_percent: float | None = None
    """Work of other processes during the measurement, in percent of one CPU."""
    valid: bool
    """Whether nothing was observed that makes the figures doubtful."""
    objections: tuple[str, ...]
    """What was observed, one sentence each."""
    source: str | None = None
    """Who published the figures; None for this machine's own."""
    host: str | None = None
    """The name of the machine, where it published this profile for its equals."""
    equal: EqualBoard | None = None
    """The board that was measured, if not this one but its equal; date, health and figures are that board's."""
    sustained: tuple[HeatPoint, ...] = field(default=(), repr=False)
    """The sustained run over time, if there was one."""
    rows: tuple[ProfileRow, ...] = field(metadata=named("variants"), repr=False)

    def __post_init__(self) -> None:
        names = [row.variant.name for row in self.rows]
        if len(set(names)) != len(names):
            raise ProfileError(f"duplicate variant {next(n for n in names if names.count(n) > 1)}")
        if self.threads is not None and self.threads < 1:
            raise ProfileError(f"threads is {self.threads}: expected at least 1")
        if self.frame_size is not None and min(self.frame_size) < 1:
            raise ProfileError(f"frame_size is {list(self.frame_size)}: expected a width and a height in pixels")
        if self.valid == bool(self.objections):
            raise ProfileError(
                f"valid is {str(self.valid).lower()}, which contradicts {len(self.objections)} objections"
            )
        if not self.source and any(row.provenance == "published" for row in self.rows):
            raise ProfileError("published figures lack the source of the profile: who published them")
        if self.host is not None and self.equal is not None:
            raise ProfileError("a profile that was taken from an equal board cannot be published: publish that board's")
        if self.load_percent is not None and not (math.isfinite(self.load_percent) and self.load_percent >= 0):
            raise ProfileError(f"load_percent is {self.load_percent}: expected a number of at least 0")

    def find(self, variant: Variant) -> ProfileRow | None:
        """The row of ``variant``, if there is one."""
        return next((row for row in self.rows if row.variant == variant), None)

    @property
    def board(self) -> str:
        """The board's name as shown."""
        return self.device.board or "this machine"

    def to_dict(self) -> dict[str, Any]:
        """The profile as JSON values, with its schema version first."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "rows"}
        values |= {name: list(values[name]) for name in ("objections", "cpus")}
        values |= {"frame_size": None if self.frame_size is None else list(self.frame_size)}
        values |= {"sustained": [asdict(point) for point in self.sustained]}
        values |= {name: values[name].to_dict() for name in ("device", "before", "after")}
        values |= {"equal": None if self.equal is None else self.equal.to_dict()}
        values = {name: value for name, value in values.items() if value is not None or name not in ("host", "equal")}
        return {"schema_version": SCHEMA_VERSION, **values, "variants": [row.to_dict() for row in self.rows]}

    def save(self, path: AnyPath) -> None:
        """Write the profile as JSON, atomically.

        Raises:
            OutputError: The file cannot be written.
        """
        write_atomically(Path(path), to_json(self.to_dict()))


def load_profile(path: AnyPath) -> LatencyProfile:
    """Read a profile.

    Raises:
        ProfileError: The file is missing or damaged, or a value in it is missing or impossible.
    """
    values = read_json(Path(path), "latency profile", ProfileError)
    version = values.pop("schema_version", None)
    if version != SCHEMA_VERSION:
        newer = isinstance(version, int) and version > SCHEMA_VERSION
        raise ProfileError(
            f"Latency profile {path} has schema {shortened(repr(version))}, this version reads {SCHEMA_VERSION}: "
            + ("update mobilenet-edge." if newer else "measure it again.")
        )
    try:
        return from_json(LatencyProfile, values)
    except KeyError as reason:
        raise ProfileError(f"Latency profile {path} lacks {reason}: measure it again.") from reason
    except (TypeError, ValueError) as reason:
        cause = str(reason).rstrip(".")
        message = f"Latency profile {path} cannot be used: {cause}. Measure it again."
        raise ProfileError(message) from reason
