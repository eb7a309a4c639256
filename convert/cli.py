"""``edge-convert``: the workstation's commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, NoReturn

import typer

from edge.cli.bundle import bundle_table
from edge.console import progress_bar, run, stdout, write_json
from edge.errors import ConversionError, VariantError
from edge.manifest import Accuracy
from edge.preprocess import Preprocessing
from edge.variant import Variant

if TYPE_CHECKING:  # torch is imported by the commands that need it: --help must not wait for it
    from convert.checkpoints import Checkpoint
    from convert.pipeline import Material, Progress, Target

__all__ = ["app", "main"]

FEW: Final = 32
"""Fewer calibration pictures than this are warned of."""
MIN_AGREEMENT: Final = 0.85

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Convert a trained MobileNet v1 for a Raspberry Pi or a Jetson.",
    epilog="Example: edge-convert bundle mobilenet_1_0_224_tf.h5 --calibration photos --labels labels.txt --out bundle",
)

Calibration = Annotated[Path, typer.Option(help="Pictures like those the camera will see; half is held back.")]
VerifyOn = Annotated[Path | None, typer.Option(help="Other pictures to measure on, instead of holding half back.")]
Truth = Annotated[Path | None, typer.Option(help='Classes of the pictures, {"photo.jpg": 3}; default: folder names.')]
Author = Annotated[str, typer.Option(help="Who made the weights, for the .tflite file's metadata.")]
License = Annotated[str, typer.Option("--license", help="The weights' licence, for the .tflite file's metadata.")]
MinAgreement = Annotated[float, typer.Option(min=0.0, max=1.0, help="Refuse a file that agrees with float less often.")]
Resizing = Annotated[
    Literal["bilinear", "halving", "area"], typer.Option("--resize", help="How the device shrinks frames.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def tflite(
    checkpoint: Annotated[Path, typer.Argument(help="Keras .h5 or mobilenet-edge .safetensors.")],
    resolution: Annotated[int, typer.Option(help="Input height and width ρ, a multiple of 32.")],
    calibration: Calibration,
    out: Annotated[Path, typer.Option(help="The .tflite file to write.")],
    io: Annotated[Literal["int8", "uint8"], typer.Option(help="Type of input and output.")] = "int8",
    labels: Annotated[Path | None, typer.Option(help="One label a line, line N for class N.")] = None,
    author: Author = "",
    license_: License = "",
    verify_on: VerifyOn = None,
    truth: Truth = None,
    resize: Resizing = "bilinear",
    min_agreement: MinAgreement = MIN_AGREEMENT,
    json: AsJson = False,
) -> None:
    """Write one full-integer int8 model, run it, and compare it with float.

    Example: edge-convert tflite mobilenet_1_0_224_tf.h5 --resolution 224 --calibration photos --out m.tflite
    """
    from convert.checkpoints import load_checkpoint
    from convert.pipeline import emit
    from convert.tflite_metadata import ModelCard
    from edge.bundle import read_labels
    from edge.files import write_atomically

    loaded = load_checkpoint(checkpoint)
    names = read_labels(labels) if labels else ()
    with progress_bar("converting") as progress:
        recipe = Preprocessing(resize=resize)
        material = _gather(loaded, names, calibration, verify_on, truth, [resolution], recipe, progress)
        card = ModelCard(labels=names, author=author, license=license_)
        (emitted,) = emit(
            loaded, resolution, material, io=io, card=card, min_agreement=min_agreement, progress=progress
        )
    write_atomically(out, emitted.content)
    if json:
        write_json({"file": str(out), "size_bytes": len(emitted.content), "accuracy": asdict(emitted.accuracy)})
    else:
        stdout().print(f"{out}: {len(emitted.content) / 1e6:.2f} MB, {_in_words(emitted.accuracy)}", soft_wrap=True)


@app.command()
def bundle(
    checkpoints: Annotated[list[Path], typer.Argument(help="One checkpoint for each α.", metavar="CHECKPOINT...")],
    calibration: Calibration,
    labels: Annotated[Path, typer.Option(help="One label a line, line N for class N.")],
    out: Annotated[Path, typer.Option(help="The bundle's folder.")],
    resolutions: Annotated[str, typer.Option(help="Every ρ, separated by commas.")] = "224,192,160,128",
    targets: Annotated[str, typer.Option(help="Formats, separated by commas: tflite, onnx.")] = "tflite",
    name: Annotated[str | None, typer.Option(help="The bundle's name; default: the folder's.")] = None,
    author: Author = "",
    license_: License = "",
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
    plan = BundlePlan(
        name=name or out.resolve().name,
        checkpoints=tuple(load_checkpoint(path) for path in checkpoints),
        resolutions=_resolutions(resolutions),
        labels=read_labels(labels),
        author=author,
        license=license_,
        targets=_targets(targets),
        min_agreement=min_agreement,
    )
    with progress_bar("converting") as progress:
        first, sides = plan.checkpoints[0], plan.resolutions
        recipe = Preprocessing(resize=resize)
        material = _gather(first, plan.labels, calibration, verify_on, truth, sides, recipe, progress)
        manifest = write_bundle(plan, material, out, replace=force, progress=progress)
    if json:
        write_json(manifest.to_dict())
    else:
        stdout().print(bundle_table(manifest))
        stdout().print(f"{out}: {sum(f.size_bytes for f in manifest.files()) / 1e6:.2f} MB", soft_wrap=True)


@app.command()
def verify(
    model: Annotated[Path, typer.Argument(help="A .tflite or .onnx file.")],
    checkpoint: Annotated[Path, typer.Argument(help="The checkpoint it was made from.")],
    pictures: Annotated[Path, typer.Option(help="Folder of pictures it was not calibrated on.")],
    labels: Annotated[Path | None, typer.Option(help="One label a line, line N for class N.")] = None,
    truth: Truth = None,
    resize: Resizing = "bilinear",
    min_agreement: MinAgreement = MIN_AGREEMENT,
    json: AsJson = False,
) -> None:
    """Run a written model and compare it with its float original.

    Example: edge-convert verify m.tflite mobilenet_1_0_224_tf.h5 --pictures photos
    """
    from convert.checkpoints import load_checkpoint
    from convert.pipeline import compare
    from convert.verify import require
    from edge.bundle import read_labels

    loaded = load_checkpoint(checkpoint)
    names = read_labels(labels) if labels else ()
    with progress_bar("verifying") as progress:
        accuracy = compare(
            model,
            loaded,
            pictures,
            labels=names,
            truth=truth,
            preprocessing=Preprocessing(resize=resize),
            progress=progress,
        )
    if json:
        write_json({"file": str(model), "accuracy": asdict(accuracy)})
    else:
        stdout().print(f"{model}: {_in_words(accuracy)}", soft_wrap=True)
    require(accuracy, min_agreement, model.name)


def main() -> NoReturn:
    """The console script ``edge-convert``."""
    run(app, "edge-convert")


def _gather(
    checkpoint: Checkpoint,
    labels: Sequence[str],
    calibration: Path,
    verify_on: Path | None,
    truth: Path | None,
    resolutions: Sequence[int],
    preprocessing: Preprocessing,
    progress: Progress,
) -> Material:
    from convert.pipeline import gather

    classes = checkpoint.config.classes
    for resolution in resolutions:
        Variant(checkpoint.config.alpha, resolution)
    material = gather(
        calibration,
        resolutions,
        labels=labels,
        classes=classes,
        verify_on=verify_on,
        truth=truth,
        preprocessing=preprocessing,
        progress=progress,
    )
    unreadable = material.calibration.unreadable + material.held_out.unreadable
    if unreadable:
        _warn(f"{len(unreadable)} pictures were passed over. The first: {unreadable[0]}")
    if len(material.calibration.paths) < FEW:
        _warn(f"only {len(material.calibration.paths)} pictures to calibrate on: {FEW} or more give steadier results")
    return material


def _warn(message: str) -> None:
    typer.echo(f"edge-convert: warning: {message}", err=True)


def _resolutions(text: str) -> tuple[int, ...]:
    try:
        sides = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError as reason:
        raise VariantError(f"Resolutions '{text}' are not numbers: expected e.g. 224,192,160,128.") from reason
    return sides


def _targets(text: str) -> tuple[Target, ...]:
    known: tuple[Target, ...] = ("tflite", "onnx")
    parts = [part.strip() for part in text.split(",")]
    chosen = tuple(target for target in known if target in parts)
    if len(chosen) != len(set(parts)):
        raise ConversionError(f"Targets '{text}' are not all known: expected tflite, onnx, or both with a comma.")
    return chosen


def _in_words(accuracy: Accuracy) -> str:
    words = f"agrees with float on {accuracy.agreement:.1%} of {accuracy.pictures} held-out pictures"
    if accuracy.top1 is not None and accuracy.float_top1 is not None:
        words += f"; top-1 {accuracy.top1:.1%}, float {accuracy.float_top1:.1%} ({accuracy.labelled} labelled)"
    return words

