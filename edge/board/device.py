"""What machine this is: board, CPU, operating system, memory. What is not known is None, never a guess."""

from __future__ import annotations

import platform
import re
import shlex
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["Device", "describe", "read_line", "read_text"]

_ARM_CORES: Final = {
    ("0x41", "0xb76"): "ARM1176",
    ("0x41", "0xc07"): "Cortex-A7",
    ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd05"): "Cortex-A55",
    ("0x41", "0xd07"): "Cortex-A57",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd42"): "Cortex-A78AE",
    ("0x41", "0xd83"): "Neoverse-V3AE",
    ("0x4e", "0x003"): "Denver 2",
    ("0x4e", "0x004"): "Carmel",
}
"""Implementer and part number of the cores on Raspberry Pis and Jetsons; source: Linux, asm/cputype.h."""

_DMI_FILLERS: Final = frozenset(
    {"", "default string", "none", "not applicable", "o.e.m.", "system product name", "to be filled by o.e.m."}
)
"""What PC makers leave in the DMI product name when they do not fill it in, in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One machine, as far as it identifies itself.

    >>> Device(board="Raspberry Pi 5 Model B Rev 1.0").board_slug
    'raspberry-pi-5-model-b'
    """

    board: str | None = None
    """The device tree's model, else the maker's product name, else the CPU's name."""
    cpu: str | None = None
    """Name of the CPU, or of its core: ``Cortex-A76``."""
    cpu_count: int | None = None
    """Logical CPUs that are online."""
    machine: str | None = None
    """Instruction set of the kernel, as ``uname -m`` prints it."""
    os: str | None = None
    """Name and version of the distribution."""
    l4t: str | None = None
    """Version of Jetson Linux, ``36.4.3``; None where there is none."""
    python: str | None = None
    """Version of the interpreter that runs now."""
    pointer_bits: int | None = None
    """32 or 64: what this interpreter was built for, which a 64-bit kernel does not decide."""
    memory_mb: int | None = None
    """Main memory that the kernel can use, in units of 10⁶ bytes."""

    @property
    def board_slug(self) -> str:
        """The board's name as part of a file name: lower case, without the revision; ``unknown`` without a name."""
        name = re.sub(r"\s+rev\s+[\d.]+\s*$", "", self.board or "", flags=re.IGNORECASE).lower()
        return re.sub(r"[^a-z0-9]+", "-", name).strip("-")[:80].strip("-") or "unknown"

    @property
    def is_raspberry_pi(self) -> bool:
        """Whether the board calls itself a Raspberry Pi."""
        return (self.board or "").startswith("Raspberry Pi")

    @property
    def is_jetson(self) -> bool:
        """Whether Jetson Linux runs here, or the board calls itself a Jetson."""
        return self.l4t is not None or "Jetson" in (self.board or "")

    def to_dict(self) -> dict[str, Any]:
        """Every field by name, and the slug."""
        return asdict(self) | {"board_slug": self.board_slug}


def describe(root: Path = Path("/"), *, machine: str | None = None, pointer_bits: int | None = None) -> Device:
    """The machine whose files lie below ``root``.

    Args:
        root: Where ``proc``, ``sys`` and ``etc`` are; another folder describes another machine.
        machine: Instruction set of its kernel; this machine's without one.
        pointer_bits: 32 or 64 of its Python; this interpreter's without one.
    """
    cpuinfo = read_text(root / "proc/cpuinfo") or ""
    cpu = _cpu_name(cpuinfo)
    return Device(
        board=_board(root) or cpu,
        cpu=cpu,
        cpu_count=len(re.findall(r"^processor\s*:", cpuinfo, re.MULTILINE)) or None,
        machine=machine or platform.machine() or None,
        os=_os_name(root),
        l4t=_l4t(read_text(root / "etc/nv_tegra_release") or ""),
        python=platform.python_version(),
        pointer_bits=pointer_bits or struct.calcsize("P") * 8,
        memory_mb=_memory_mb(read_text(root / "proc/meminfo") or ""),
    )


def read_text(path: Path) -> str | None:
    """The text of a file that the system offers, or None where it is absent or will not be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def read_line(path: Path) -> str | None:
    """The first line of a file without spaces and NULs around it; None where there is nothing."""
    lines = (read_text(path) or "").strip(" \t\r\n\0").splitlines()
    return lines[0].rstrip(" \t\0") if lines else None


def _board(root: Path) -> str | None:
    if model := read_line(root / "proc/device-tree/model") or read_line(root / "sys/firmware/devicetree/base/model"):
        return model
    product = read_line(root / "sys/class/dmi/id/product_name") or ""
    return None if product.lower() in _DMI_FILLERS else product


def _cpu_name(cpuinfo: str) -> str | None:
    """The model name, else the names of the Arm cores in ``cpuinfo``, each once."""
    if name := re.search(r"^model name\s*:\s*(\S.*?)\s*$", cpuinfo, re.MULTILINE):
        return name[1]
    implementers = re.findall(r"^CPU implementer\s*:\s*(\w+)", cpuinfo, re.MULTILINE)
    parts = re.findall(r"^CPU part\s*:\s*(\w+)", cpuinfo, re.MULTILINE)
    cores = [_ARM_CORES.get(core) for core in dict.fromkeys(zip(implementers, parts, strict=False))]
    return " + ".join(core for core in cores if core) if cores and all(cores) else None


def _os_name(root: Path) -> str | None:
    text = read_text(root / "etc/os-release") or read_text(root / "usr/lib/os-release") or ""
    name = re.search(r"^PRETTY_NAME=(.*)$", text, re.MULTILINE)
    if name is None:
        return None
    try:
        return " ".join(shlex.split(name[1])) or None
    except ValueError:
        return name[1].strip() or None


def _l4t(release: str) -> str | None:
    """``36.4.3`` from a line like ``# R36 (release), REVISION: 4.3, GCID: ...``."""
    version = re.search(r"\bR(\d+)\b.*?\bREVISION:\s*(\d+(?:\.\d+)*)", release)
    return f"{version[1]}.{version[2]}" if version else None


def _memory_mb(meminfo: str) -> int | None:
    total = re.search(r"^MemTotal:\s*(\d+) kB", meminfo, re.MULTILINE)
    return round(int(total[1]) * 1024 / 1e6) if total else None
