"""Installing bundles: fetched, checked, copied and tested before the switch to them; and rolled back.

Until the switch nothing that is in use is touched, and the switch is one atomic write (:mod:`edge.bundles.registry`).
The previous version stays for :func:`roll_back`. Whatever a killed process leaves half done, the next one removes.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.bundles.bundle import Bundle, open_bundle, shipped_folder
from edge.bundles.manifest import Manifest, read_manifest
from edge.bundles.members import MANIFEST, MANIFEST_BYTES, SIGNATURE, SIGNATURE_BYTES
from edge.bundles.registry import Installed, bundles_folder, find_installed, folder_of, is_name, version_of
from edge.errors import BundleError, OlderVersionError, OutputError
from edge.files import sha256_of
from edge.inference.selftest import verify_answers
from edge.json_files import parse_json
from edge.locks import locked
from edge.progress import Progress, no_progress
from edge.updates.archive import Source, reading
from edge.updates.download import Limits, download, shown
from edge.updates.signature import check_signature
from edge.updates.trusted import check_trusted
from edge.updates.versions import clear, nothing_left, put_in_place

__all__ = ["Activation", "activate", "check_signed", "deactivate", "roll_back"]

_DOWNLOADS: Final = ".downloads"
_LOCK: Final = ".lock"

Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """A switch that was made."""

    bundle: Bundle
    """What is in use now."""
    installed: Installed
    tested: int
    """Variants that gave the golden answers; 0 for a bundle without golden pictures."""


def activate(
    source: str,
    *,
    sha256: str | None = None,
    key: Path | None = None,
    allow_older: bool = False,
    backend: str = "auto",
    folder: Path | None = None,
    limits: Limits = Limits(),
    progress: Progress = no_progress,
    announce: Announce = lambda message: None,
) -> Activation:
    """Install a bundle and put it to use.

    Args:
        source: ``https://...``, a ``.zip`` file as :func:`edge.updates.archive.pack` writes it, or a bundle's folder.
        sha256: What the SHA-256 of the ``.zip`` file must be.
        key: A file of public keys, one of which must have signed the manifest; None to accept any bundle.
        allow_older: Whether a signed bundle may be older, by its serial, than the version in use.
        backend: What the self-test runs on: ``auto``, or a backend's name.
        folder: Where bundles are installed; None for :func:`edge.bundles.registry.bundles_folder`.
        limits: Of a download.
        progress: Called with the stage and share of a download.
        announce: Called with a message if this process has to wait for another one.

    Raises:
        DownloadError: It cannot be fetched, or is not the file expected.
        SignatureError: It is not signed by one of the keys.
        OlderVersionError: It is signed, but older than the version in use.
        BundleError: It is damaged, or cannot be installed under its name.
        SelfTestError: It does not give its golden answers here.
        BackendError: No backend runs it here.
        OutputError: It cannot be written; there is too little room for it, for example.
    """
    folder = folder or bundles_folder()
    with (
        _locked(folder, announce),
        _fetched(source, sha256, folder, limits, progress) as place,
        reading(place) as files,
    ):
        heads = _heads(files, shown(source), key)
        content = parse_json(heads[MANIFEST], f"Bundle manifest in {shown(source)}", BundleError)
        manifest = read_manifest(content, Path(shown(source)))
        if not is_name(manifest.name):
            raise BundleError(
                f"{manifest.name!r} cannot be installed: expected a name of letters, digits, '.', '_', '-'."
            )
        installed, version = _known(manifest.name, folder), version_of(heads[MANIFEST])
        if key is not None and not allow_older:
            _refuse_older(manifest, installed)
        clear(installed, keep_versions=True)
        with nothing_left(installed):
            tested = put_in_place(files, manifest, heads, installed.folder(version), backend)
            if not (folder / _LOCK).exists():  # which is held
                shutil.rmtree(installed.folder(version), ignore_errors=True)
                raise OutputError(f"{folder} was removed on the way: nothing is installed.")
        switched = installed.switch(version)
        clear(switched)
        return Activation(bundle=open_bundle(switched.folder(version)), installed=switched, tested=tested)


def roll_back(
    name: str,
    *,
    key: Path | None = None,
    backend: str = "auto",
    folder: Path | None = None,
    announce: Announce = lambda message: None,
) -> Activation:
    """Put the previous version to use again, once it is verified and tested. A second time leads back.

    Args:
        name: The bundle's name.
        key: A file of public keys, one of which must have signed that version; a version that ships with the package
            needs no signature. None to accept any.
        backend: What the self-test runs on: ``auto``, or a backend's name.
        folder: Where bundles are installed; None for :func:`edge.bundles.registry.folder_of`.
        announce: Called with a message if this process has to wait for another one.

    Raises:
        BundleError: There is none, or it is damaged.
        SignatureError: It is not signed by one of the keys.
        SelfTestError: It does not give its golden answers any more.
        BackendError: No backend runs it here.
        OutputError: The change cannot be written.
    """
    folder = folder or folder_of(name)
    with _locked(folder, announce):
        installed = _find(name, folder)
        target = installed.previous
        place = shipped_folder(name) if target is None else installed.folder(target)
        if place is None:
            raise BundleError(
                f"Bundle {name} has no version before {installed.active}: nothing to go back to. To put it out of use: "
                f"edge bundle deactivate {name}."
            )
        if target is not None:
            with reading(place) as files:
                _heads(files, f"version {target} of bundle {name}", key)
        bundle = open_bundle(place)
        tested = verify_answers(bundle, backend=backend)
        return Activation(bundle=bundle, installed=installed.switch(target), tested=tested)


def deactivate(name: str, *, folder: Path | None = None, announce: Announce = lambda message: None) -> Installed:
    """Put no installed version of a bundle to use: the one that ships with the package, or none. It stays installed.

    :func:`roll_back` puts it to use again.

    Args:
        name: The bundle's name.
        folder: Where bundles are installed; None for :func:`edge.bundles.registry.folder_of`.
        announce: Called with a message if this process has to wait for another one.

    Raises:
        BundleError: There is none.
        OutputError: The change cannot be written.
    """
    folder = folder or folder_of(name)
    with _locked(folder, announce):
        return _find(name, folder).switch(None)


def check_signed(root: Path, key: Path | None) -> None:
    """Refuse a bundle's folder that none of the keys has signed.

    Args:
        root: The folder, which was opened before: the manifest vouches for the files.
        key: A file of public keys; None to accept any bundle.

    Raises:
        BundleError: It has no manifest.
        SignatureError: It is not signed by one of the keys.
    """
    if key is not None:
        with reading(root) as files:
            _heads(files, shown(str(root)), key)


@contextlib.contextmanager
def _fetched(source: str, sha256: str | None, folder: Path, limits: Limits, progress: Progress) -> Iterator[Path]:
    """Where the bundle is on this machine: fetched if need be, for as long as the block lasts."""
    if "://" in source:
        downloads = folder / _DOWNLOADS
        to = downloads / f"{hashlib.sha256(source.encode()).hexdigest()[:16]}.zip"
        download(source, to, expected_sha256=sha256, limits=limits, progress=progress)
        try:
            yield to
        finally:
            shutil.rmtree(downloads, ignore_errors=True)
        return
    place = Path(source)
    if sha256 is not None:
        if not place.is_file():
            raise BundleError(f"{source} is not a file, so it has no SHA-256: expected a .zip file.")
        if (found := sha256_of(place)) != sha256.lower():
            raise BundleError(f"{source} is not the file expected: its SHA-256 is {found}, expected {sha256}.")
    yield place


def _heads(files: Source, source: str, key: Path | None) -> dict[str, bytes]:
    """The bytes of the manifest and of its signature, if there is one; verified, if there is a key."""
    content, signature = files.read(MANIFEST, MANIFEST_BYTES), files.read(SIGNATURE, SIGNATURE_BYTES)
    if content is None:
        raise BundleError(f"{source} has no {MANIFEST}: expected a bundle.")
    if key is not None:
        check_signature(content, signature, key)
    return {MANIFEST: content} | ({} if signature is None else {SIGNATURE: signature})


def _refuse_older(manifest: Manifest, installed: Installed) -> None:
    """Refuse a bundle that is older than the version in use: a server may offer one that was signed long ago.

    Raises:
        OlderVersionError: Its serial is smaller.
    """
    if installed.active is None:
        return
    try:
        active = open_bundle(installed.folder(installed.active)).manifest
    except BundleError:
        return  # damaged: this is how it is repaired
    if manifest.serial < active.serial:
        raise OlderVersionError(
            f"Bundle {manifest.name} is older than the version in use: its serial is {manifest.serial}, expected "
            f"{active.serial} or more."
        )


def _find(name: str, folder: Path) -> Installed:
    """What is installed under a name.

    Raises:
        BundleError: Nothing is.
    """
    installed = find_installed(name, (folder,))
    if installed is None:
        raise BundleError(f"No bundle {name} is installed in {folder}: edge bundle list shows what is installed.")
    return installed


def _known(name: str, folder: Path) -> Installed:
    """What is installed under a name; nothing, if its record is damaged."""
    try:
        return find_installed(name, (folder,)) or Installed(home=folder / name)
    except BundleError:
        return Installed(home=folder / name)


@contextlib.contextmanager
def _locked(folder: Path, announce: Announce) -> Iterator[None]:
    """Hold the folder while something is installed: processes take turns."""
    check_trusted(folder)
    with locked(folder / _LOCK, lambda: announce("another process is installing a bundle: waiting for it")):
        yield
