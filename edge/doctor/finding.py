"""What a check gives: a :class:`Finding`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

__all__ = ["Finding", "Status", "ok", "problem", "warning"]

Status = Literal["ok", "warning", "problem"]
"""``problem``: the runtime does not work; ``warning``: it works, but less well than it could."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found."""

    check: str
    """What was looked at: ``numpy``, ``cameras``."""
    status: Status
    detail: str
    fix: str = ""
    """How to fix it; empty if there is nothing to fix."""

    def to_dict(self) -> dict[str, str]:
        """Every field by name."""
        return asdict(self)


def ok(check: str, detail: str) -> Finding:
    """All is well."""
    return Finding(check=check, status="ok", detail=detail)


def warning(check: str, detail: str, fix: str) -> Finding:
    """It works, but less well than it could."""
    return Finding(check=check, status="warning", detail=detail, fix=fix)


def problem(check: str, detail: str, fix: str) -> Finding:
    """The runtime does not work."""
    return Finding(check=check, status="problem", detail=detail, fix=fix)
