"""The folders of a bundle's versions: one is put in place whole and tested, and what is not needed any more removed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from edge.bundles.bundle import open_bundle
from edge.bundles.manifest import Manifest
from edge.bundles.registry import Installed
from edge.errors import BundleError
from edge.files import check_room, new_folder, writing
from edge.inference.selftest import verify_answers
from edge.updates.archive import Source

__all__ = ["clear", "nothing_left", "put_in_place"]

_SPARE_BYTES: Final = 20_000_000
"""What has to stay free on the disk."""


def put_in_place(files: Source, manifest: Manifest, heads: Mapping[str, bytes], target: Path, backend: str) -> int:
    """Copy a bundle to ``target`` and test it there, unless it is there already; then test it again.

    Returns:
        How many variants gave the golden answers.
    """
    if _is_whole(target):
        return verify_answers(open_bundle(target), backend=backend)
    entries = {entry.file: entry for entry in manifest.files()}.values()
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    check_room(target, sum(entry.size_bytes for entry in entries) + _SPARE_BYTES)
    with new_folder(target, replace=True) as staging:
        for name, content in heads.items():
            (staging / name).write_bytes(content)
        for entry in entries:
            files.copy(entry, staging)
        return verify_answers(open_bundle(staging), backend=backend)


@contextlib.contextmanager
def nothing_left(installed: Installed) -> Iterator[None]:
    """Remove the folders of a bundle of which no version was installed."""
    try:
        yield
    except BaseException:
        for folder in (installed.versions, installed.home):
            with contextlib.suppress(OSError):  # there are other versions in it
                folder.rmdir()
        raise


def _is_whole(target: Path) -> bool:
    try:
        open_bundle(target)
    except BundleError:
        return False
    return True


def clear(installed: Installed, *, keep_versions: bool = False) -> None:
    """Remove what a killed process left half done, and all versions but the one in use and the one before."""
    versions = [] if keep_versions else installed.versions.glob("[!.]*")
    kept = {installed.active, installed.previous}
    for path in (*installed.home.glob(".*"), *installed.versions.glob(".*"), *versions):
        if path.name not in kept:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
