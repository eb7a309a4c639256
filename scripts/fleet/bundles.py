"""Bundles for the simulation, made of the demo: one variant each, under one name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

from edge.bundles.bundle import open_bundle
from edge.bundles.members import MANIFEST
from edge.updates import archive, signature

__all__ = ["NAME", "make_bundle"]

NAME: Final = "fleet"


def make_bundle(folder: Path, variant: str, serial: int, key: Path) -> Path:
    """A signed ``.zip`` file with one of the demo's variants.

    Args:
        folder: Where it is made.
        variant: ``0.25_128``.
        serial: Of the manifest: larger is newer.
        key: The private key.
    """
    demo, made = open_bundle("demo"), folder / f"{serial}"
    manifest = json.loads(demo.path(MANIFEST).read_text())
    manifest["variants"] = [one for one in manifest["variants"] if one["variant"].endswith(variant)]
    files = [artifact["file"] for one in manifest["variants"] for artifact in one["artifacts"]]
    golden = manifest["golden"]
    golden["answers"] = {file: golden["answers"][file] for file in files}
    golden["inputs"] = {size: values for size, values in golden["inputs"].items() if variant.endswith(size)}
    manifest |= {"name": NAME, "created": f"2026-01-01T00:00:{serial:02}+00:00"}
    for name in (*files, manifest["labels"]["file"], *(picture["file"] for picture in golden["pictures"])):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(demo.path(name), made / name)
    (made / MANIFEST).write_text(json.dumps(manifest))
    out = folder / f"{NAME}-{serial}.zip"
    archive.pack(open_bundle(made), out, signature.sign((made / MANIFEST).read_bytes(), key))
    return out
