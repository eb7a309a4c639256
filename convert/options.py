"""How to convert and how to train: every setting with its meaning and its default, in one place.

The commands make their options of these fields. Loads neither torch nor NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from convert.errors import ConversionError, TrainingError
from edge.settings import Doc, check_numbers

__all__ = [
    "BundleOptions",
    "CheckOptions",
    "ConversionOptions",
    "Doc",
    "QuantizationOptions",
    "TfliteOptions",
    "TrainingOptions",
]


_Truth = Annotated[Path | None, Doc('Classes of the pictures, {"photo.jpg": 3}; default: folder names.')]
_Resize = Annotated[Literal["bilinear", "halving", "area"], Doc("How the device shrinks frames.")]
_MinAgreement = Annotated[float, Doc("Refuse a file that agrees with float less often.", 0.0, 1.0)]
_MIN_AGREEMENT: Final = 0.85


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """How to compare a written file with float."""

    truth: _Truth = None
    resize: _Resize = "bilinear"
    min_agreement: _MinAgreement = _MIN_AGREEMENT

    def __post_init__(self) -> None:
        check_numbers(self, ConversionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationOptions:
    """On which pictures to quantize a network."""

    truth: _Truth = None
    resize: _Resize = "bilinear"
    verify_on: Annotated[Path | None, Doc("Other pictures to measure on, instead of holding half back.")] = None
    allow_untrained: Annotated[bool, Doc("Convert a network that looks untrained, too.")] = False

    def __post_init__(self) -> None:
        check_numbers(self, ConversionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionOptions(QuantizationOptions):
    """How to convert a network, and how to check the result."""

    min_agreement: _MinAgreement = _MIN_AGREEMENT
    temperature: Annotated[
        float | None, Doc("What to divide the logits by; default: by labelled pictures. 1 changes nothing.", 0.05, 20.0)
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TfliteOptions(ConversionOptions):
    """How to convert, and what the ``.tflite`` files say of themselves."""

    author: Annotated[str, Doc("Who made the weights, for the .tflite file's metadata.")] = ""
    license: Annotated[str, Doc("The weights' licence, for the .tflite file's metadata.")] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleOptions(TfliteOptions):
    """How to make a bundle."""

    name: Annotated[str | None, Doc("The bundle's name; default: the folder's.")] = None
    nothing: Annotated[Path | None, Doc("Pictures of nothing in particular, to set the threshold of unknown.")] = None
    background: Annotated[str | None, Doc("The class that stands for nothing, if there is one.")] = None
    fine_tune_on: Annotated[
        Path | None,
        Doc("Pictures, as for train, to fine-tune on with int8's rounding in the loop.", flags=("--qat",)),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """How to train."""

    teacher_weight: Annotated[float, Doc("How much the teacher's answers count.", 0.0, 1.0)] = 0.5
    epochs: Annotated[float, Doc("Number of epochs.", 0.01, 100_000)] = 60.0
    batch: Annotated[int, Doc("Pictures per step, of all processes together.", 2, 65_536)] = 64
    rate: Annotated[float, Doc("Peak learning rate.")] = 4e-3
    seed: Annotated[int, Doc("Random seed.", 0, 2**32 - 1)] = 1
    hold_back: Annotated[float, Doc("Share to measure on, if the pictures are not split.", 0.01, 0.9)] = 0.2
    grey: Annotated[bool, Doc("Train on grey pictures, for a network of one channel.")] = False
    flips: Annotated[bool, Doc("Mirror pictures: not for letters or signs.")] = True
    resize: Annotated[Literal["bilinear", "halving", "area"], Doc("How the device shrinks frames.")] = "bilinear"
    patience: Annotated[int | None, Doc("Stop after this many of 20 checks without a gain.", 1)] = None
    precision: Annotated[Literal["fp32", "bf16"], Doc("bf16 is for GPUs.")] = "fp32"
    device: Annotated[str, Doc("auto, cpu, cuda or cuda:N.")] = "auto"
    workers: Annotated[int, Doc("Threads that read pictures.", 1, 256)] = 2
    save_every: Annotated[float, Doc("Seconds between states to resume from.", 0.0, 1e6)] = 60.0
    tensorboard: Annotated[Path | None, Doc("Folder for TensorBoard's events, too.")] = None

    def __post_init__(self) -> None:
        check_numbers(self, TrainingError)
