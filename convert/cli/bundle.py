"""``edge-convert bundle``: every variant, converted and measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convert.cli.material import gather_material
from convert.cli.options import (
    MIN_AGREEMENT,
    AsJson,
    Author,
    Calibration,
    Effort,
    License,
    MinAgreement,
    Resizing,
    Truth,
    VerifyOn,
)
from edge.cli.bundle import bundle_table
from edge.console import progress_bar, stdout, write_json
from edge.errors import ConversionError, VariantError
from edge.preprocess import Preprocessing

if TYPE_CHECKING:  # torch is imported by the commands that need it: --help must not wait for it
    from convert.pipeline import Target, Tune

__all__ = ["bundle"]


def bundle(
    checkpoints: Annotated[list[Path], typer.Argument(help="One checkpoint for each α.", metavar="CHECKPOINT...")],
    labels: Annotated[Path, typer.Option(help="One label a line, line N for class N.")],
    out: Annotated[Path, typer.Option(help="The bundle's folder.")],
    resolutions: Annotated[str, typer.Option(help="Every ρ, separated by commas.")] = "224,192,160,128",
    targets: Annotated[
        str, typer.Option(help="tflite, onnx (fp32, fp16 and int8), or one of onnx-PRECISION; with commas between.")
    ] = "tflite",
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
    force: Annotated[bool, typer.Option("--force", help="Replace a bundle that already stands there.")] = False,
    json: AsJson = False,
) -> None:
    """Convert, measure and bundle every α and ρ.

    Example: edge-convert bundle a_1.0.h5 a_0.5.h5 --calibration photos --labels labels.txt --out bundle
    """
    from convert.checkpoints import load_checkpoint
    from convert.to_bundle import BundlePlan, check_place, write_bundle
    from edge.bundle import read_labels

    check_place(out, replace=force)
    names = read_labels(labels)
    plan = BundlePlan(
        name=name or out.resolve().name,
        checkpoints=tuple(load_checkpoint(path) for path in checkpoints),
        resolutions=_resolutions(resolutions),
        labels=names,
        author=author,
        license=license_,
        targets=_targets(targets),
        effort=effort,
        tune=_tuner(qat, names) if qat else None,
        min_agreement=min_agreement,
    )
    with progress_bar("converting") as progress:
        first, sides = plan.checkpoints[0], plan.resolutions
        recipe = Preprocessing(resize=resize)
        material = gather_material(first, plan.labels, calibration, verify_on, truth, sides, recipe, progress)
        manifest = write_bundle(plan, material, out, replace=force, progress=progress)
    if json:
        write_json(manifest.to_dict())
    else:
        stdout().print(bundle_table(manifest))
        stdout().print(f"{out}: {sum(f.size_bytes for f in manifest.files()) / 1e6:.2f} MB", soft_wrap=True)


def _tuner(data: Path, labels: tuple[str, ...]) -> Tune:
    from convert.train.dataset import read_dataset
    from convert.train.qat import Qat

    return Qat(dataset=read_dataset(data), labels=labels).tune


def _resolutions(text: str) -> tuple[int, ...]:
    try:
        sides = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError as reason:
        raise VariantError(f"Resolutions '{text}' are not numbers: expected e.g. 224,192,160,128.") from reason
    return sides


def _targets(text: str) -> tuple[Target, ...]:
    from convert.pipeline import FILES

    parts = [part.strip() for part in text.split(",")]
    chosen = tuple(target for target in FILES if target in parts)
    if len(chosen) != len(set(parts)):
        raise ConversionError(f"Targets '{text}' are not all known: expected some of {', '.join(FILES)}.")
    return chosen
