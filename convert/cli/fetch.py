"""``edge-convert fetch``: published weights, and the bundle of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from convert.cli.formatting import show_bundle
from convert.cli.options import TRUTH_RULE, AsJson, Calibration, Force, Targets, numbers, targets_of
from convert.options import BundleOptions, ConversionOptions
from edge.bundles.members import check_place
from edge.combinations import combined, without
from edge.console import progress_bar, stdout, table, write_json
from edge.errors import VariantError
from edge.grouping import grouped, options_of

if TYPE_CHECKING:  # torch is imported by the commands that need it: --help must not wait for it
    from convert.checkpoints import Checkpoint
    from convert.fetch import Fetched

__all__ = ["fetch"]

_OF_BUNDLES: Final = ("--targets", "--calibration", "--force", *options_of(ConversionOptions))


@combined(without("--bundle", *_OF_BUNDLES), TRUTH_RULE)
@grouped
def fetch(
    what: Annotated[Literal["imagenet"], typer.Argument(help="Google's networks of ImageNet, from Keras.")],
    alpha: Annotated[str, typer.Option(help="Every α, separated by commas.")] = "1,0.75,0.5,0.25",
    resolution: Annotated[str, typer.Option(help="Every ρ, separated by commas.")] = "224,192,160,128",
    to: Annotated[Path | None, typer.Option(help="Their folder; default: ~/.cache/mobilenet-edge/imagenet.")] = None,
    lock: Annotated[
        Path | None, typer.Option(help="Checksums to hold them against; default: fetch.lock.json in their folder.")
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="Also write a bundle of them all here.")] = None,
    targets: Targets = "tflite",
    calibration: Calibration = None,
    options: ConversionOptions = ConversionOptions(),
    force: Force = False,
    json: AsJson = False,
) -> None:
    """Fetch published weights, each for its own α and ρ, and bundle them if asked.

    The environment variable MNE_MIRROR names another server that has the same files under the same paths.

    Example: edge-convert fetch imagenet --bundle imagenet --calibration photos
    """
    from convert.conversion import write_bundle
    from convert.fetch import Lock, fetch_imagenet, published
    from convert.fetch.imagenet import AUTHOR, LICENSE, default_folder

    chosen_targets = targets_of(targets)
    if bundle is not None:
        check_place(bundle, replace=force)
    wanted = published(_alphas(alpha), numbers(resolution))
    with progress_bar("fetching") as progress:
        known = Lock(lock) if lock else None
        found, labels = fetch_imagenet(wanted, to or default_folder(), lock=known, progress=progress)
    if bundle is None:
        _print(found, labels, as_json=json)
        return
    with progress_bar("converting") as progress:
        written = write_bundle(
            _checkpoints(found),
            bundle,
            labels=labels,
            calibration=calibration,
            resolutions=numbers(resolution),
            targets=chosen_targets,
            options=BundleOptions(**asdict(options), author=AUTHOR, license=LICENSE),
            replace=force,
            progress=progress,
        )
    show_bundle(written, as_json=json)


def _alphas(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as reason:
        raise VariantError(f"Widths '{text}' are not numbers: expected e.g. 1,0.5.") from reason


def _checkpoints(found: Sequence[Fetched]) -> list[Checkpoint]:
    """Each file, for its own ρ."""
    from convert.checkpoints import load_checkpoint

    variants = [(one.path, one.published.variant) for one in found]
    return [replace(load_checkpoint(path), only_at=(v.resolution,)) for path, v in variants if v]


def _print(found: Sequence[Fetched], labels: Path, *, as_json: bool) -> None:
    if as_json:
        write_json({"labels": str(labels), "files": [_row(one) for one in found]})
        return
    made = table("Published weights", "variant", "file", "MB", "state", text=("file", "state"))
    for one in found:
        size = f"{one.size_bytes / 1e6:.2f}"
        made.add_row(str(one.published.variant), str(one.path), size, "fetched" if one.is_new else "already here")
    stdout().print(made)
    stdout().print(f"{labels}: the names of the classes", soft_wrap=True)


def _row(one: Fetched) -> dict[str, Any]:
    return {
        "variant": str(one.published.variant),
        "file": str(one.path),
        "size_bytes": one.size_bytes,
        "sha256": one.sha256,
        "fetched": one.is_new,
    }
