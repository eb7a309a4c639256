"""``edge-convert bundle``: every variant, converted and measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convert.cli.calibration_data import load_pictures
from convert.cli.options import (
    MIN_AGREEMENT,
    AsJson,
    Author,
    Calibration,
    Effort,
    Force,
    License,
    MinAgreement,
    Resizing,
    Targets,
    Truth,
    VerifyOn,
)
from convert.cli.write_model import Pictures
from convert.errors import ConversionError
from edge.cli.bundle import bundle_table
from edge.console import progress_bar, stdout, write_json
from edge.errors import VariantError
from edge.vision.preprocess import Preprocessing

if TYPE_CHECKING:  # torch is imported by the commands that need it: --help must not wait for it
    from convert.checkpoints import Checkpoint
    from convert.pipeline.bundle import BundlePlan
    from convert.pipeline.variant import Target, Tune

__all__ = ["bundle", "make_bundle", "numbers", "targets_of"]


def bundle(
    checkpoints: Annotated[
        list[str],
        typer.Argument(help="One for each α, or FILE@224,192 for some ρ of it.", metavar="CHECKPOINT..."),
    ],
    labels: Annotated[Path, typer.Option(help="One label a line, line N for class N.")],
    out: Annotated[Path, typer.Option(help="The bundle's folder.")],
    resolutions: Annotated[str, typer.Option(help="Every ρ, separated by commas.")] = "224,192,160,128",
    targets: Targets = "tflite",
    name: Annotated[str | None, typer.Option(help="The bundle's name; default: the folder's.")] = None,
    author: Author = "",
    license_: License = "",
    calibration: Calibration = None,
    effort: Effort = "fast",
    qat: Annotated[
        Path | None,
        typer.Option(help="Pictures, as for train, to fine-tune on with int8's rounding in the loop."),
    ] = None,
    verify_on: VerifyOn = None,
    truth: Truth = None,
    resize: Resizing = "bilinear",
    min_agreement: MinAgreement = MIN_AGREEMENT,
    force: Force = False,
    json: AsJson = False,
) -> None:
    """Convert, measure and bundle every α and ρ.

    Example: edge-convert bundle a_1.0.h5 a_0.5.h5 --calibration photos --labels labels.txt --out bundle
    """
    from convert.pipeline.bundle import BundlePlan, check_place
    from edge.bundles.bundle import read_labels

    check_place(out, replace=force)
    names = read_labels(labels)
    plan = BundlePlan(
        name=name or out.resolve().name,
        checkpoints=tuple(_checkpoint(text) for text in checkpoints),
        resolutions=numbers(resolutions),
        labels=names,
        author=author,
        license=license_,
        targets=targets_of(targets),
        effort=effort,
        tune=_tuner(qat, names) if qat else None,
        min_agreement=min_agreement,
    )
    pictures = Pictures(calibration=calibration, verify_on=verify_on, truth=truth, recipe=Preprocessing(resize=resize))
    make_bundle(plan, pictures, out, replace=force, as_json=json)


def make_bundle(plan: BundlePlan, pictures: Pictures, out: Path, *, replace: bool, as_json: bool) -> None:
    """Write a bundle and show it."""
    from convert.pipeline.bundle import write_bundle

    with progress_bar("converting") as progress:
        data = load_pictures(
            plan.checkpoints[0],
            plan.labels,
            pictures.calibration,
            pictures.verify_on,
            pictures.truth,
            plan.resolutions,
            pictures.recipe,
            progress,
        )
        manifest = write_bundle(plan, data, out, replace=replace, progress=progress)
    if as_json:
        write_json(manifest.to_dict())
    else:
        stdout().print(bundle_table(manifest))
        stdout().print(f"{out}: {sum(f.size_bytes for f in manifest.files()) / 1e6:.2f} MB", soft_wrap=True)


def _tuner(data: Path, labels: tuple[str, ...]) -> Tune:
    from convert.data.dataset import read_dataset
    from convert.training.qat import Qat

    return Qat(dataset=read_dataset(data), labels=labels).tune


def _checkpoint(text: str) -> Checkpoint:
    """The checkpoint at a path, or at a path with the resolutions behind it that it is for."""
    from convert.checkpoints import load_checkpoint

    path, at, sides = text.rpartition("@")
    if not at or Path(text).exists():
        return load_checkpoint(Path(text))
    return replace(load_checkpoint(Path(path)), only_at=numbers(sides))


def numbers(text: str) -> tuple[int, ...]:
    """Resolutions that stand in one option, separated by commas."""
    try:
        sides = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError as reason:
        raise VariantError(f"Resolutions '{text}' are not numbers: expected e.g. 224,192,160,128.") from reason
    return sides


def targets_of(text: str) -> tuple[Target, ...]:
    """What to emit, as one option names it."""
    from convert.pipeline.variant import FILES

    parts = [part.strip() for part in text.split(",")]
    chosen = tuple(target for target in FILES if target in parts)
    if len(chosen) != len(set(parts)):
        raise ConversionError(f"Targets '{text}' are not all known: expected some of {', '.join(FILES)}.")
    return chosen
