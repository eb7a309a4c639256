"""The state of a training run on disk: written whole or not at all, and resumed only by the same run."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from convert.errors import CheckpointError, OtherSettingsError
from edge.errors import os_reason
from edge.files import write_atomically

__all__ = ["STATE", "StateFile"]

STATE: Final = "state.pt"
"""The file beside the checkpoints that a stopped run resumes from."""
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class StateFile:
    """Where a run keeps its state."""

    path: Path
    settings: dict[str, Any]
    """What must be the same for a state to be resumed, as JSON values."""

    def write(self, state: dict[str, Any]) -> None:
        """Keep ``state`` in place of the one before.

        Raises:
            OutputError: It cannot be written; the state before is still there.
        """
        buffer = io.BytesIO()
        torch.save({"format": _FORMAT, "settings": self.settings, "state": state}, buffer)
        write_atomically(self.path, buffer.getvalue())

    def read(self) -> dict[str, Any]:
        """The state kept.

        Raises:
            CheckpointError: There is none, or it is damaged.
            OtherSettingsError: It is of a run with other settings.
        """
        try:
            kept = torch.load(io.BytesIO(self.path.read_bytes()), map_location="cpu", weights_only=True)
            settings, state = kept["settings"], kept["state"]
        except FileNotFoundError as reason:
            raise CheckpointError(f"There is no {self.path} to resume: start from scratch instead.") from reason
        except (OSError, RuntimeError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as reason:
            why = os_reason(reason) if isinstance(reason, OSError) else "it is damaged or cut short"
            raise CheckpointError(f"Cannot resume from {self.path}: {why}. Start from scratch instead.") from reason
        self._compare(settings)
        found: dict[str, Any] = state
        return found

    def _compare(self, settings: dict[str, Any]) -> None:
        for name in sorted({*settings, *self.settings}):
            then, now = settings.get(name), self.settings.get(name)
            if then != now:
                raise OtherSettingsError(
                    f"{self.path} is of a run with other settings: {name} was {then}, and is {now}. Resume it with "
                    "the same settings, or start from scratch."
                )
