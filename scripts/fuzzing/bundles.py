"""Bundles that lie: manifests, archives and folders of a good one changed, judged by installing them."""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from edge.bundles.bundle import MANIFEST, open_bundle
from edge.bundles.members import SIGNATURE
from edge.errors import EdgeError
from edge.inference import trial
from edge.inference.inspection import Inspection
from edge.updates.install import activate
from edge.updates.signature import sign
from scripts.fuzzing.bundle_changes import flipped, write_bundle
from scripts.fuzzing.forks import Fault, Stage
from scripts.fuzzing.good_bundle import good_files, good_manifest, text_of, write_folder

__all__ = ["judge", "prepared"]


@contextlib.contextmanager
def prepared() -> Iterator[None]:
    """Make what all cases share, for as long as the block lasts."""
    folders = [_installed(), _key_folder()]
    try:
        yield
    finally:
        for folder in folders:
            shutil.rmtree(folder)
        _installed.cache_clear()
        _key_folder.cache_clear()


def judge(seed: int, case: int, folder: Path, stage: Stage) -> str:
    """Make a bundle, open it if it is a folder, and install it beside a good one that is in use."""
    dice = random.Random(f"{seed} {case}")
    canary = folder / "outside" / "canary"
    canary.parent.mkdir()
    canary.write_text("whole")
    place, manifest = write_bundle(folder / "given", dice, canary)
    key = _key_folder() / "ours.pub" if dice.random() < 0.3 else None
    is_signed = key is not None and dice.random() < 0.7 and _add_signature(place, dice)
    home = folder / "home"
    shutil.copytree(_installed(), home)
    before = _listing(home)
    refused = ""
    with mock.patch.object(trial, "inspect_models", _is_good):
        stage("open")
        if place.is_dir():
            with contextlib.suppress(EdgeError):
                open_bundle(place)
        stage("activate")
        try:
            done = activate(str(place), folder=home, key=key)
        except EdgeError as reason:
            refused = _one_line(str(reason))
    stage("left behind")
    if canary.read_text() != "whole" or list(canary.parent.iterdir()) != [canary]:
        raise Fault("a file outside the bundle's folder was changed")
    if Path("/tmp/fuzz-absolute").exists():
        raise Fault("a file was written at an absolute path")
    if refused:
        if _listing(home) != before:
            raise Fault(f"a refusal left {sorted(set(_listing(home)) ^ set(before))[:3]}")
        return refused
    if key is not None and not is_signed:
        raise Fault("a bundle without a right signature was installed")
    _check_installed(done.bundle.root, manifest)
    return ""


def _is_good(paths: Sequence[Path], **options: Any) -> list[Inspection]:
    """In place of a child process for each: model files are the matter of :mod:`scripts.fuzzing.models`."""
    return [Inspection(inputs=(), outputs=(), operators=(), is_finite=True) for _ in paths]


def _one_line(message: str) -> str:
    if "\n" in message or len(message) > 1500 or not message:
        raise Fault(f"not one clear line: {message[:300]!r}")
    return message


def _check_installed(root: Path, manifest: bytes | None) -> None:
    """What was installed is what was given: nothing but plain files, of the sizes and contents that are announced."""
    for path in root.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise Fault(f"{path.name} was installed, which is no plain file")
    if manifest is not None and (root / MANIFEST).read_bytes() != manifest:
        raise Fault("another manifest was installed")
    open_bundle(root)


def _listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != ".lock")


@cache
def _installed() -> Path:
    """A home with the good bundle in use, to be copied; made before the first case."""
    home = Path(tempfile.mkdtemp(prefix="fuzz-home-"))
    place = home.with_name(f"{home.name}-given")
    write_folder(place, {MANIFEST: text_of(good_manifest() | {"serial": 1}), **good_files()})
    with mock.patch.object(trial, "inspect_models", _is_good):
        activate(str(place), folder=home)
    shutil.rmtree(place)
    return home


@cache
def _key_folder() -> Path:
    """A folder with a key of ours and another's, and the public part of ours."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    folder = Path(tempfile.mkdtemp(prefix="fuzz-keys-"))
    for name in ("ours", "another"):
        key = Ed25519PrivateKey.generate()
        (folder / name).write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        if name == "ours":
            public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            (folder / "ours.pub").write_bytes(public)
    return folder


def _add_signature(place: Path, dice: random.Random) -> bool:
    """Sign a folder's manifest, or nearly; whether the signature is right."""
    manifest = place / MANIFEST
    if not place.is_dir() or manifest.is_symlink() or not manifest.is_file() or manifest.stat().st_size > 30_000_000:
        return False
    kind = dice.randrange(6)
    content = manifest.read_bytes()
    signature = sign(content, _key_folder() / ("another" if kind == 0 else "ours"))
    if kind == 1:
        signature = flipped(signature, dice)
    if kind == 2:
        signature = signature[: dice.randrange(64)]
    if kind == 3:
        signature *= 2
    path = place / SIGNATURE
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        path.write_bytes(signature)
        if kind == 4:
            manifest.write_bytes(content + b" ")
        return kind == 5 and path.read_bytes() == signature
    return False
