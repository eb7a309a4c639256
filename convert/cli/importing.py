"""``edge-convert import``: what a checkpoint is taken for, and the same weights in this package's own format."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from convert.cli.formatting import config_in_words
from convert.cli.options import AsJson
from edge.console import stdout, write_json

if TYPE_CHECKING:  # torch is imported by the commands that need it: --help must not wait for it
    from convert.checkpoints import Checkpoint

__all__ = ["import_"]

Normalization = Literal["half", "unit", "imagenet"]
_UNIT: Final = {"mean": (0.0, 0.0, 0.0), "std": (255.0, 255.0, 255.0)}


def import_(
    checkpoint: Annotated[Path, typer.Argument(help="A file of any format this package reads.", metavar="CHECKPOINT")],
    out: Annotated[
        Path | None, typer.Option(help="Write it as a .safetensors with its configuration; default: only inspect.")
    ] = None,
    padding: Annotated[Literal["same", "symmetric"] | None, typer.Option(help="TensorFlow's, or PyTorch's.")] = None,
    activation: Annotated[Literal["relu6", "relu"] | None, typer.Option(help="After every layer.")] = None,
    bn_eps: Annotated[float | None, typer.Option(help="Batch norm's epsilon.")] = None,
    stem_stride: Annotated[int | None, typer.Option(help="1 for networks of 32x32 pictures.")] = None,
    normalization: Annotated[
        Normalization | None, typer.Option(help="Pixels as -1 to 1, as 0 to 1, or by ImageNet's mean and deviation.")
    ] = None,
    colour_order: Annotated[Literal["RGB", "BGR", "GRAY"] | None, typer.Option(help="Of the channels.")] = None,
    json: AsJson = False,
) -> None:
    """Inspect a checkpoint and override what cannot be inferred from it.

    Example: edge-convert import mobilenet.pth --activation relu6 --out mobilenet.safetensors
    """
    from convert.checkpoints import load_checkpoint, reconfigured, save_checkpoint

    loaded = load_checkpoint(checkpoint)
    given: dict[str, Any] = {
        "padding": padding,
        "activation": activation,
        "bn_eps": bn_eps,
        "stem_stride": stem_stride,
        "colour_order": colour_order,
        **_pixels(normalization, loaded.config.channels),
    }
    changes = {name: value for name, value in given.items() if value is not None}
    loaded = reconfigured(loaded, **changes) if changes else loaded
    if out is not None:
        save_checkpoint(
            loaded.model, out, loaded.statistics, resolution=loaded.resolution, is_headless=loaded.is_headless
        )
    if json:
        write_json(_record(loaded, out))
        return
    words = config_in_words(loaded.config, is_headless=loaded.is_headless)
    stdout().print(f"{checkpoint}: {loaded.layout}, {words}", soft_wrap=True)
    if loaded.note:
        stdout().print(f"Note: {loaded.note}.", soft_wrap=True)
    if out is not None:
        stdout().print(f"{out}: written", soft_wrap=True)


def _pixels(normalization: Normalization | None, channels: int) -> dict[str, Any]:
    from convert.model import HALF_RANGE, IMAGENET_MEAN, IMAGENET_STD

    found: dict[Normalization | None, dict[str, Any]] = {
        None: {},
        "half": {"mean": HALF_RANGE, "std": HALF_RANGE},
        "unit": _UNIT,
        "imagenet": {"mean": IMAGENET_MEAN, "std": IMAGENET_STD},
    }
    return {name: values[:channels] for name, values in found[normalization].items()}


def _record(loaded: Checkpoint, out: Path | None) -> dict[str, Any]:
    from convert.complexity import layer_costs, mult_adds_of, parameters_of

    layers = layer_costs(loaded.model, 224, loaded.config.channels)
    return {
        "file": str(loaded.path),
        "sha256": loaded.sha256,
        "layout": loaded.layout,
        "configuration": asdict(loaded.config),
        "parameters": parameters_of(layers),
        "mult_adds_at_224": mult_adds_of(layers),
        "resolutions_with_statistics": sorted(loaded.statistics),
        "resolution": loaded.resolution,
        "is_headless": loaded.is_headless,
        "note": loaded.note,
        "out": None if out is None else str(out),
    }
