"""What can go wrong between a checkpoint and a bundle.

::

    EdgeError
    ├── CheckpointError     (ValueError)    a checkpoint whose tensors are not a MobileNet v1
    ├── CalibrationError    (ValueError)    calibration images or labels that cannot be used
    ├── TrainingError       (ValueError)    pictures or settings that no network can learn from
    │   └── OtherSettingsError  (TrainingError)  a stopped training whose settings were others
    ├── DivergedError       (ArithmeticError)  a training run whose loss is not a number any more
    ├── ConversionError     (ValueError)    a network that cannot be expressed in the target format
    │   └── UntrainedError  (ConversionError)  a network that looks as if it was never trained
    ├── AccuracyError       (ValueError)    a converted model that disagrees with its float original
    └── OutputError
        └── FolderInUseError        (OutputError)       a folder that holds another training run
            └── UnfinishedRunError  (FolderInUseError)  one that can be resumed
"""

from __future__ import annotations

from edge.errors import EdgeError, OutputError

__all__ = [
    "AccuracyError",
    "CalibrationError",
    "CheckpointError",
    "ConversionError",
    "DivergedError",
    "FolderInUseError",
    "OtherSettingsError",
    "TrainingError",
    "UnfinishedRunError",
    "UntrainedError",
]


class CheckpointError(EdgeError, ValueError):
    """A checkpoint whose tensors are not those of a MobileNet v1."""


class CalibrationError(EdgeError, ValueError):
    """Calibration images or labels that cannot be used."""


class TrainingError(EdgeError, ValueError):
    """Pictures or settings that no network can learn from."""


class OtherSettingsError(TrainingError):
    """A stopped training that cannot be resumed, because its settings were others."""


class DivergedError(EdgeError, ArithmeticError):
    """A training run whose loss is not a number any more."""


class ConversionError(EdgeError, ValueError):
    """A network that cannot be expressed in the target format."""


class FolderInUseError(OutputError):
    """A folder for a training's results that is not empty."""


class UnfinishedRunError(FolderInUseError):
    """A folder that holds a training which stopped."""


class UntrainedError(ConversionError):
    """A network that looks as if it was never trained."""


class AccuracyError(EdgeError, ValueError):
    """A converted model that disagrees too much with its float original."""
