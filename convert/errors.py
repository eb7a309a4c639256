"""What can go wrong between a checkpoint and a bundle.

::

    EdgeError
    ├── CheckpointError     (ValueError)    a checkpoint whose tensors are not a MobileNet v1
    ├── CalibrationError    (ValueError)    calibration images or labels that cannot be used
    ├── TrainingError       (ValueError)    pictures or settings that no network can learn from
    ├── DivergedError       (ArithmeticError)  a training run whose loss is no number any more
    ├── ConversionError     (ValueError)    a network that cannot be expressed in the target format
    └── AccuracyError       (ValueError)    a converted model that disagrees with its float original
"""

from __future__ import annotations

from edge.errors import EdgeError

__all__ = [
    "AccuracyError",
    "CalibrationError",
    "CheckpointError",
    "ConversionError",
    "DivergedError",
    "TrainingError",
]


class CheckpointError(EdgeError, ValueError):
    """A checkpoint whose tensors are not those of a MobileNet v1."""


class CalibrationError(EdgeError, ValueError):
    """Calibration images or labels that cannot be used."""


class TrainingError(EdgeError, ValueError):
    """Pictures or settings that no network can learn from."""


class DivergedError(EdgeError, ArithmeticError):
    """A training run whose loss is no number any more."""


class ConversionError(EdgeError, ValueError):
    """A network that cannot be expressed in the target format."""


class AccuracyError(EdgeError, ValueError):
    """A converted model that disagrees too much with its float original."""
