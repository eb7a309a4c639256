"""A bundle in a ``.zip`` file, as far as a channel has to know it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from edge.bundles.manifest import Manifest, read_manifest
from edge.bundles.members import MANIFEST, MANIFEST_BYTES, SIGNATURE, SIGNATURE_BYTES
from edge.errors import BundleError
from edge.files import sha256_of
from edge.json_files import parse_json
from edge.updates.archive import reading

__all__ = ["Package", "inspect", "read_head"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A ``.zip`` file."""

    bundle_name: str
    version: str
    """As it will be installed: the first 16 digits of its manifest's SHA-256."""
    sha256: str
    size_bytes: int
    installed_bytes: int


def read_head(place: Path) -> tuple[Manifest, bool]:
    """The manifest in a ``.zip`` file of a bundle, and whether it is signed.

    Raises:
        BundleError: It is none.
    """
    manifest, _, is_signed = _head(place)
    return manifest, is_signed


def inspect(place: Path) -> Package:
    """What is in a ``.zip`` file of a bundle, by its manifest.

    Raises:
        BundleError: It is none.
    """
    manifest, content, _ = _head(place)
    return Package(
        bundle_name=manifest.name,
        version=hashlib.sha256(content).hexdigest()[:16],
        sha256=sha256_of(place),
        size_bytes=place.stat().st_size,
        installed_bytes=len(content) + sum({one.file: one.size_bytes for one in manifest.files()}.values()),
    )


def _head(place: Path) -> tuple[Manifest, bytes, bool]:
    with reading(place) as files:
        content, signature = files.read(MANIFEST, MANIFEST_BYTES), files.read(SIGNATURE, SIGNATURE_BYTES)
    if content is None:
        raise BundleError(f"{place} has no {MANIFEST}: expected a bundle.")
    manifest = read_manifest(parse_json(content, f"Bundle manifest in {place}", BundleError), place)
    return manifest, content, signature is not None
