"""Ready ``.tflite`` image classifiers: what they are, what they take, and why one cannot be used."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.bundles.architecture import BLOCKS, STEM_FILTERS, scaled
from edge.bundles.variant import Variant
from edge.errors import BackendError, BundleError, UnsaidError, VariantError, os_reason
from edge.inference.inspection import Inspection, inspect_model
from edge.inference.tflite_metadata import FileMetadata, read_metadata
from edge.inference.tflite_structure import check_structure
from edge.vision.preprocess import ColourOrder, Preprocessing, channels_of

__all__ = ["PIXEL_RANGES", "ReadyModel", "read_ready_model"]

PIXEL_RANGES: Final = {"-1..1": (127.5, 127.5), "0..1": (0.0, 255.0), "0..255": (0.0, 1.0)}
"""What a float network was trained on: mean and standard deviation of pixels from 0 to 255."""
_MAGIC: Final = b"TFL3"
_PASSIVE: Final = ("RESHAPE", "QUANTIZE", "DEQUANTIZE", "SQUEEZE")
_DETECTION: Final = "TFLite_Detection_PostProcess"
_LEAST_SLIM_FILTERS: Final = 8
"""TF-slim's networks have no narrower layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyModel:
    """One file that can be used as it is."""

    path: Path
    variant: Variant
    precision: str
    classes: int
    preprocessing: Preprocessing
    inspection: Inspection
    labels: tuple[str, ...] | None
    """Those inside the file."""


def read_ready_model(
    path: Path, *, pixels: str | None = None, colour_order: ColourOrder = "RGB", network: str | None = None
) -> ReadyModel:
    """Find out what a file is, by its graph, its metadata and a run in a child process.

    Args:
        path: A ``.tflite`` file.
        pixels: What a float network takes, one of :data:`PIXEL_RANGES`; None to take it from the file's metadata.
        colour_order: The order of its channels, if it takes three.
        network: The name of its network, where it is not a MobileNet v1; None for one made of the file's name.

    Raises:
        BackendError: It is missing, damaged, or not a classifier of pictures.
        BundleError: Nothing says how its pictures are normalized.
    """
    _check_magic(path)
    check_structure(path)
    inspection, metadata = inspect_model(path), read_metadata(path)
    _check_classifier(path, inspection)
    _, side, _, _ = inspection.inputs[0].shape
    return ReadyModel(
        path=path,
        variant=_variant(path, inspection, side, network),
        precision=_precision(inspection),
        classes=inspection.outputs[0].shape[-1],
        preprocessing=_preprocessing(path, inspection, metadata, pixels, colour_order),
        inspection=inspection,
        labels=metadata.labels,
    )


def _check_magic(path: Path) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as reason:
        raise BackendError(f"Cannot read {path}: {os_reason(reason)}.") from reason
    if head[4:8] != _MAGIC:
        raise BackendError(
            f"{path} is not a TensorFlow Lite model: its bytes 4 to 8 are not TFL3. A checkpoint is converted on a "
            "workstation: edge-convert bundle."
        )


def _check_classifier(path: Path, model: Inspection) -> None:
    """Refuse what is not a classifier of pictures, by what it is."""
    names = [operator.name for operator in model.operators]
    if _DETECTION in names or len(model.outputs) > 1:
        kind = "an object detector" if _DETECTION in names or len(model.outputs) == 4 else "not a classifier"
        raise BackendError(
            f"{path} has {len(model.outputs)} outputs: it is {kind}; expected one list of probabilities."
        )
    if len(model.inputs) != 1:
        raise BackendError(f"{path} has {len(model.inputs)} inputs: expected one picture.")
    shape, answer = model.inputs[0].shape, model.outputs[0].shape
    if len(shape) != 4 or shape[0] != 1 or shape[1] != shape[2] or shape[3] not in (1, 3):
        raise BackendError(
            f"{path} takes {list(shape)}: expected one square picture, [1, ρ, ρ, 3], or [1, ρ, ρ, 1] for grey."
        )
    if len(answer) != 2 or answer[0] != 1:
        kind = "a feature map or a segmentation" if len(answer) == 4 else "not one answer"
        raise BackendError(f"{path} gives {list(answer)}, {kind}: expected probabilities, [1, classes].")
    last = next((name for name in reversed(names) if name not in _PASSIVE), "nothing")
    if last == "LOGISTIC" and answer[1] == 1:
        raise BackendError(
            f"{path} ends in one sigmoid: expected a softmax over two classes. Convert its checkpoint instead, which "
            "makes two of one: edge-convert bundle."
        )
    if last != "SOFTMAX":
        raise BackendError(
            f"{path} ends in {last}, not in a softmax, so its answers are not probabilities: add a Softmax layer to "
            "the network and convert it again."
        )
    if answer[1] < 2:
        raise BackendError(f"{path} has one class, whose probability is always 1: expected two or more.")
    if not model.is_finite:
        raise BackendError(f"{path} answers with values that are not numbers: its weights are damaged.")


def _variant(path: Path, model: Inspection, side: int, network: str | None) -> Variant:
    alpha = _alpha(model)
    if alpha is not None and side % 32 == 0:
        return Variant(alpha, side)
    slug = re.sub(r"[^a-z0-9.]+", "_", (network or path.stem).lower()).strip("_.")
    slug = re.sub(rf"_(?:{side}|quant|uint8|int8|float|fp32)(?=_|$)", "", slug) or "network"
    slug = slug if slug[0].isalpha() and not slug.startswith("mobilenet_v1") else f"network_{slug}"
    try:
        return Variant(1.0, side, slug)
    except VariantError as reason:
        raise BundleError(f"{path} needs a name: {reason}") from reason


def _alpha(model: Inspection) -> float | None:
    """The width multiplier, if the layers are those of a MobileNet v1."""
    layers = model.layers[: 1 + 2 * len(BLOCKS)]
    kinds = ["CONV_2D", *("DEPTHWISE_CONV_2D", "CONV_2D") * len(BLOCKS)]
    if [layer.name for layer in layers] != kinds or len(model.layers) != len(kinds) + 1:
        return None
    filters = [layer.output[-1] for layer in layers if layer.name == "CONV_2D"]
    full = [STEM_FILTERS, *(block.filters for block in BLOCKS)]
    alpha = round(filters[-1] / full[-1], 4)
    for least in (1, _LEAST_SLIM_FILTERS):
        if filters == [max(least, scaled(count, alpha)) for count in full]:
            return alpha
    return None


def _precision(model: Inspection) -> str:
    dtypes = {layer.weight_dtype for layer in model.layers}
    if model.inputs[0].is_quantized or dtypes & {"int8", "uint8"}:
        return "int8"
    return "fp16" if "float16" in dtypes else "fp32"


def _preprocessing(
    path: Path, model: Inspection, metadata: FileMetadata, pixels: str | None, colour_order: ColourOrder
) -> Preprocessing:
    taken = model.inputs[0]
    mean: Sequence[float]
    std: Sequence[float]
    if pixels is not None:
        mean, std = ([value] for value in PIXEL_RANGES[pixels])
    elif metadata.mean and metadata.std:
        mean, std = metadata.mean, metadata.std
    elif taken.is_quantized:  # a pixel is its own level
        level = taken.zero_point + (128 if taken.dtype == "int8" else 0)
        mean, std = [float(level)], [1 / taken.scale]
    else:
        raise UnsaidError(
            f"{path} takes float pixels and does not say of which range: expected one of {', '.join(PIXEL_RANGES)}. "
            "Keras' MobileNet and Teachable Machine use -1..1, Edge Impulse 0..1.",
            needs="pixels",
        )
    order: ColourOrder = "GRAY" if taken.shape[3] == 1 else colour_order
    channels = channels_of(order)
    return Preprocessing(colour_order=order, mean=_by_channel(mean, channels), std=_by_channel(std, channels))


def _by_channel(values: Sequence[float], channels: int) -> tuple[float, ...]:
    """One value for each channel, where one may stand for all."""
    return tuple(round(value, 4) for value in (values if len(values) == channels else [values[0]] * channels))
