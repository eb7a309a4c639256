"""What two boards must have in common to be equal, so that what was measured on one holds for the other."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from typing import Final

from edge.board.affinity import default_threads
from edge.board.device import Device
from edge.board.health import Health
from edge.bundles.bundle import Bundle
from edge.inference.backends import open_backend
from edge.profiling.measure import Machine
from edge.profiling.profile import LatencyProfile
from edge.profiling.threads import ThreadChoice
from edge.profiling.timing import FRAME_SIZE

__all__ = ["Conditions", "conditions_here", "conditions_of"]

_WORDS: Final = {
    "cpu_count": "CPUs",
    "os": "operating system",
    "machine": "instruction set",
    "l4t": "Jetson Linux",
    "clock_max_mhz": "highest clock in MHz",
    "gpu_max_mhz": "highest clock of the GPU in MHz",
    "backend_version": "runtime",
    "frame_size": "size of frames",
    "models": "model files",
}
"""Fields by the words that messages use, where they are others than the name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """One board with one bundle; what a board does not report is None or empty, and equals only that."""

    board: str
    """The board's name without its revision, as :attr:`edge.board.device.Device.board_slug`."""
    cpu_count: int | None
    os: str | None
    """Distribution and release; without the number of an update: ``Ubuntu 22.04 LTS``."""
    machine: str | None
    pointer_bits: int | None
    l4t: str | None
    clock_max_mhz: int | None
    """Of the fastest CPU."""
    gpu_max_mhz: int | None
    governor: str | None
    power_mode: str | None
    backend: str
    backend_version: str
    threads: int | None
    """None for each variant's fastest."""
    frame_size: tuple[int, int] | None
    models: str
    """The first digits of a SHA-256 over those of all the bundle's model files."""

    @property
    def key(self) -> str:
        """Twelve digits that are the same for equal boards, and others for others."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]

    def differences(self, other: Conditions, host: str) -> list[str]:
        """Where this board and ``other``, called ``host``, are not equal, a clause each."""
        found = []
        for name in (field.name for field in fields(self)):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                values = "differ" if name == "models" else f"{_shown(mine)} here, {_shown(theirs)} on {host}"
                found.append(f"{_WORDS.get(name, name.replace('_', ' '))} {values}")
        return found


def conditions_here(bundle: Bundle, *, backend: str, threads: ThreadChoice, machine: Machine) -> Conditions:
    """This board as it would be measured.

    Raises:
        BackendError: No backend runs the bundle's smallest variant.
    """
    with closing(open_backend(bundle, bundle.variants[-1].variant, name=backend).backend) as opened:
        name, version = opened.name, opened.version
    count = None if threads == "auto" else threads or default_threads()
    return _conditions(machine.describe(), machine.look(), name, version, count, FRAME_SIZE, _models(bundle))


def conditions_of(profile: LatencyProfile, bundle: Bundle) -> Conditions:
    """The board of a profile; its model files are those of ``bundle`` if it has every variant's."""
    rows = {entry.variant: profile.find(entry.variant) for entry in bundle.variants}
    is_of_bundle = all(
        row is not None and row.model_sha256 is not None and bundle.find(variant).artifact_of(row.model_sha256)
        for variant, row in rows.items()
    )
    return _conditions(
        profile.device,
        profile.before,
        profile.backend,
        profile.backend_version,
        profile.threads,
        profile.frame_size,
        _models(bundle) if is_of_bundle else "others",
    )


def _conditions(
    device: Device,
    health: Health,
    backend: str,
    version: str,
    threads: int | None,
    frame_size: tuple[int, int] | None,
    models: str,
) -> Conditions:
    return Conditions(
        board=device.board_slug,
        cpu_count=device.cpu_count,
        os=None if device.os is None else re.sub(r"(\d+\.\d+)\.\d+", r"\1", device.os),
        machine=device.machine,
        pointer_bits=device.pointer_bits,
        l4t=device.l4t,
        clock_max_mhz=max(health.clock_max_mhz, default=None),
        gpu_max_mhz=health.gpu_max_mhz,
        governor=health.governor,
        power_mode=health.power_mode,
        backend=backend,
        backend_version=version,
        threads=threads,
        frame_size=frame_size,
        models=models,
    )


def _models(bundle: Bundle) -> str:
    found = sorted(artifact.sha256 for entry in bundle.variants for artifact in entry.artifacts)
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:12]


def _shown(value: object) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else "unknown" if value is None else str(value)
