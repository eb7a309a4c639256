"""``edge bundle``: what is in a bundle and whether it is whole; installing, packing and going back."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from edge.bundles.bundle import MANIFEST, open_bundle, shipped_bundles
from edge.bundles.registry import installed_bundles
from edge.bundles.table import bundle_table
from edge.cli.bundle_text import only_one, print_activation, tested_text
from edge.cli.options import AsJson, BackendName
from edge.combinations import combined, without
from edge.console import note, progress_bar, stdout, table, write_json
from edge.errors import BundleError, OlderVersionError, OutputError, UnsaidError

__all__ = ["app"]

app = typer.Typer()

Place = Annotated[
    str, typer.Argument(help="A bundle's folder, or the name of an installed or shipped one.", metavar="BUNDLE")
]


@app.command()
def info(bundle: Place = "demo", json: AsJson = False) -> None:
    """Show what a bundle holds.

    Example: edge bundle info demo
    """
    opened = open_bundle(bundle)
    if json:
        write_json(opened.manifest.to_dict())
        return
    stdout().print(bundle_table(opened.manifest))
    recipe, manifest = opened.manifest.preprocessing, opened.manifest
    stdout().print(
        f"{len(opened.labels)} classes; {recipe.colour_order}, mean {recipe.mean[0]:g}, std {recipe.std[0]:g}, "
        f"crop {recipe.crop}, resize {recipe.resize}; written {manifest.created} by {manifest.source.get('tool', '?')}",
        soft_wrap=True,
    )
    if origin := _origin(manifest.source):
        stdout().print(origin, soft_wrap=True, markup=False)


@app.command()
def verify(bundle: Place = "demo", backend: BackendName = "auto", json: AsJson = False) -> None:
    """Check every file of a bundle against its manifest, and every variant against the golden answers.

    Example: edge bundle verify demo
    """
    from edge.inference.selftest import verify_answers

    opened = open_bundle(bundle)
    files = list(opened.manifest.files())
    size_bytes = sum(file.size_bytes for file in files)
    tested = verify_answers(opened, backend=backend)
    if json:
        values = {"bundle": opened.name, "files": len(files), "size_bytes": size_bytes, "whole": True, "tested": tested}
        write_json(values)
    else:
        message = (
            f"{opened.name}: {len(files)} files, {size_bytes / 1e6:.2f} MB, all as measured; {tested_text(tested)}"
        )
        stdout().print(message, soft_wrap=True)


def _origin(source: Mapping[str, Any]) -> str:
    """Whose weights they are and what they were taught from, as far as the manifest says."""
    found = (
        ("taught from", source.get("taught_from")),
        ("weights by", source.get("author", source.get("publisher"))),
        ("licence", source.get("license")),
    )
    return "; ".join(f"{name} {value}" for name, value in found if value)


@app.command("list")
def list_bundles(json: AsJson = False) -> None:
    """List the bundles that can be used by name, with the version in use.

    Example: edge bundle list
    """
    rows = [
        {"bundle": one.name, "active": one.active, "previous": one.previous, "folder": str(one.home)}
        for one in installed_bundles()
    ]
    names = {row["bundle"] for row in rows}
    others = (name for name in shipped_bundles() if name not in names)
    rows += [{"bundle": name, "active": None, "previous": None, "folder": None} for name in others]
    if json:
        write_json(rows)
        return
    shipped = dict.fromkeys(shipped_bundles(), "shipped")  # what rollback leads to where no version was before
    unused = {row["bundle"]: "none" for row in rows if row["folder"]} | shipped
    made = table("Bundles", "bundle", "in use", "before", "folder", text=("in use", "before", "folder"))
    for row in rows:
        name, active = row["bundle"], row["active"]
        before = row["previous"] or ("shipped" if active and name in shipped else "")
        made.add_row(name, active or unused[name], before, row["folder"] or "with the package")
    stdout().print(made)


@app.command()
def activate(
    source: Annotated[
        str, typer.Argument(help="https://HOST/PATH, a .zip file, or a bundle's folder.", metavar="SOURCE")
    ],
    sha256: Annotated[str | None, typer.Option("--sha256", help="What the .zip file's SHA-256 must be.")] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key", help="Public keys, one of which must have signed it. Default: bundle.pub, if there is one."
        ),
    ] = None,
    allow_older: Annotated[
        bool, typer.Option("--allow-older", help="Accept a signed version older than the one in use.")
    ] = False,
    backend: BackendName = "auto",
    json: AsJson = False,
) -> None:
    """Install a bundle and put it to use, once it is verified and tested; the previous version is kept.

    Example: edge bundle activate https://example.com/birds.zip --sha256 3f0a...
    """
    from edge.updates.download import shown
    from edge.updates.install import activate as activate_bundle
    from edge.updates.signature import configured_key

    key = key or configured_key()
    with progress_bar(f"fetching {shown(source)}") as progress:
        try:
            activation = activate_bundle(
                source,
                sha256=sha256,
                key=key,
                allow_older=allow_older,
                backend=backend,
                progress=progress,
                announce=note,
            )
        except OlderVersionError as error:
            raise OlderVersionError(f"{error} To install it nevertheless, pass --allow-older.") from error
    print_activation(activation, json, is_signed=key is not None)


@app.command()
def rollback(
    name: Annotated[str | None, typer.Argument(help="Default: the only one installed.", metavar="[NAME]")] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key", help="Public keys, one of which must have signed it. Default: bundle.pub, if there is one."
        ),
    ] = None,
    backend: BackendName = "auto",
    json: AsJson = False,
) -> None:
    """Go back to the previous version, once it is verified and tested. A second time leads forward again.

    Example: edge bundle rollback birds
    """
    from edge.updates.install import roll_back
    from edge.updates.signature import configured_key

    key = key or configured_key()
    activation = roll_back(name or only_one(), key=key, backend=backend, announce=note)
    print_activation(activation, json, is_signed=key is not None and activation.installed.active is not None)


@app.command()
def deactivate(
    name: Annotated[str | None, typer.Argument(help="Default: the only one installed.", metavar="[NAME]")] = None,
    json: AsJson = False,
) -> None:
    """Put a bundle out of use; it stays installed, and rollback puts it to use again. Of a shipped one, use that.

    Example: edge bundle deactivate birds
    """
    from edge.updates.install import deactivate as deactivate_bundle

    installed = deactivate_bundle(name or only_one(), announce=note)
    if json:
        write_json({"bundle": installed.name, "active": installed.active, "previous": installed.previous})
        return
    state = "the one that ships with the package is in use" if installed.name in shipped_bundles() else "not in use"
    message = f"{installed.name}: {state}. To undo it: edge bundle rollback {installed.name}."
    stdout().print(f"{message} Restart what runs with it.", soft_wrap=True)


@app.command("import")
@combined(without("--pictures", "--truth"))
def import_files(
    files: Annotated[list[Path], typer.Argument(help="Ready .tflite image classifiers.", metavar="FILE.tflite...")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle to write.")],
    labels: Annotated[Path | None, typer.Option(help="One label a line. Default: those inside the file.")] = None,
    pixels: Annotated[
        str | None, typer.Option(help="Range of a float model's input: -1..1, 0..1 or 0..255.", metavar="RANGE")
    ] = None,
    bgr: Annotated[bool, typer.Option("--bgr", help="The model takes blue first.")] = False,
    network: Annotated[str | None, typer.Option(help="Name of the network. Default: from the file's name.")] = None,
    pictures: Annotated[Path | None, typer.Option(help="Labelled pictures to measure the accuracy on.")] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Their classes: JSON of file names and numbers. Default: from folder names.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a bundle that is there already.")] = False,
    json: AsJson = False,
) -> None:
    """Make a bundle of ready .tflite classifiers, on this machine, without torch.

    Example: edge bundle import mobilenet_v1_1.0_224_quant.tflite --labels labels.txt --out everyday
    """
    from edge.updates.importing import ImportOptions, import_models
    from edge.updates.ready_models import PIXEL_RANGES

    if pixels is not None and pixels not in PIXEL_RANGES:
        raise BundleError(f"Invalid --pixels '{pixels}': expected one of {', '.join(PIXEL_RANGES)}.")
    options = ImportOptions(
        labels=labels,
        pixels=pixels,
        colour_order="BGR" if bgr else "RGB",
        network=network,
        pictures=pictures,
        truth=truth,
    )
    with progress_bar(f"importing {len(files)} file{'s' if len(files) > 1 else ''}") as progress:
        try:
            bundle = import_models(files, out, options, replace=force, progress=progress)
        except UnsaidError as error:
            value = "FILE" if error.needs == "labels" else "RANGE"
            raise BundleError(f"{error} Pass --{error.needs} {value}.") from error
    if json:
        write_json(bundle.manifest.to_dict())
    else:
        stdout().print(bundle_table(bundle.manifest))
        stdout().print(f"{out}: ready. Try it: camera-demo --bundle {shlex.quote(str(out))}", soft_wrap=True)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="imagenet: everyday things, a thousand of them.", metavar="imagenet")],
    variants: Annotated[
        list[str] | None, typer.Option("--variant", help="A variant, e.g. 0.5_160; more than once. Default: five.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Fetch a published bundle, 15 MB, on this machine, without torch: Google's quantized ImageNet networks.

    Example: edge bundle fetch imagenet
    """
    from edge.bundles.variant import Variant
    from edge.updates.hosted import DEFAULT_VARIANTS, NAME, fetch_bundle

    if name != NAME:
        raise BundleError(f"There is no published bundle '{name}': expected {NAME}.")
    wanted = [Variant.parse(one) for one in variants or ()] or DEFAULT_VARIANTS
    with progress_bar(f"fetching {name}") as progress:
        made = fetch_bundle(wanted, progress=progress, announce=note)
    print_activation(made, json)


@app.command()
def pack(
    bundle: Place,
    out: Annotated[Path, typer.Argument(help="The .zip file to write.", metavar="OUT.zip")],
    sign: Annotated[
        Path | None, typer.Option("--sign", help="An Ed25519 private key in PEM, to sign the bundle with.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Write a bundle to a .zip file, to be sent to many machines.

    Example: edge bundle pack birds birds.zip --sign key.pem
    """
    from edge.files import sha256_of
    from edge.updates import archive, signature

    if out.suffix.lower() != ".zip":
        raise OutputError(f"Cannot write {out}: expected a name that ends in .zip.")
    opened = open_bundle(bundle)
    signed = None if sign is None else signature.sign(opened.path(MANIFEST).read_bytes(), sign)
    archive.pack(opened, out, signed)
    size_bytes, sha256 = out.stat().st_size, sha256_of(out)
    if json:
        write_json({"file": str(out), "size_bytes": size_bytes, "sha256": sha256, "signed": signed is not None})
    else:
        stdout().print(f"{out}: {size_bytes / 1e6:.2f} MB, SHA-256 {sha256}", soft_wrap=True)
