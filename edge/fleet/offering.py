"""A bundle on its way into a channel: packed, read back, and described for the boards."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from edge.bundles.bundle import open_bundle
from edge.bundles.manifest import read_manifest
from edge.bundles.members import MANIFEST, MANIFEST_BYTES
from edge.errors import BundleError, ChannelError
from edge.files import new_file, writing
from edge.fleet.channel import Channel, Release, Runtime
from edge.fleet.health import Gate
from edge.fleet.package import Package, inspect, read_head
from edge.fleet.rings import DEFAULT_RINGS, Ring
from edge.fleet.state import parse_time, timestamp
from edge.json_files import parse_json
from edge.text import one_line, shortened
from edge.updates.archive import pack, reading

__all__ = ["Offer", "add_release"]

_BUNDLES: Final = "bundles"
_KEPT: Final = 20
"""Releases that stay in the file."""
_LONGEST_LABEL: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """How a bundle is published."""

    label: str | None = None
    """What people call this version."""
    rings: tuple[Ring, ...] | None = None
    """None for those of the release before, or :data:`edge.fleet.rings.DEFAULT_RINGS`."""
    gate: Gate | None = None
    """What it must hold on a board; None for the gate of the release before, or the default."""
    not_before: datetime | None = None
    runtime: Runtime = field(default_factory=Runtime)
    url: str | None = None
    """Where the ``.zip`` file will be; None to put it into the channel's folder."""


def add_release(
    channel: Channel, bundle: str, offer: Offer, folder: Path, now: datetime, announce: Callable[[str], None]
) -> Channel:
    """The channel with a bundle, whose ``.zip`` file is put into the folder.

    Raises:
        ChannelError: The channel has this version already, or one that boards do not go back from.
        BundleError: The bundle is damaged.
        OutputError: It cannot be written.
    """
    with _packed(bundle) as source:
        package = inspect(source)
        _read_back(source)
        if channel.find(package.version) is not None:
            raise ChannelError(f"Version {package.version} is in the channel already: nothing is published.")
        remark = _check_age(channel, source, folder)
        offer = replace(offer, label=_label(channel, offer.label))
        url = offer.url or f"{_BUNDLES}/{package.bundle_name}-{package.version}.zip"
        release = _release(channel, package, offer, url, now)
        changed = replace(channel, releases=(*channel.releases, release)[-_KEPT:])  # checked before anything is written
        if offer.url is None:
            _place(source, folder / url, package)
    if remark is not None:
        announce(remark)
    return changed


def _label(channel: Channel, text: str | None) -> str | None:
    """A label as one line, which names one release alone: ``withdraw`` takes it, too."""
    if text is None:
        return None
    label = one_line(text)
    if not 0 < len(label) <= _LONGEST_LABEL:
        raise ChannelError(f"invalid label {shortened(text, 40)!r}: expected 1 to {_LONGEST_LABEL} characters.")
    other = next((one for one in channel.releases if label in (one.version, one.label)), None)
    if other is not None:
        raise ChannelError(f"Version {other.version} is called {label} already: give this one another label.")
    return label


def _check_age(channel: Channel, source: Path, folder: Path) -> str | None:
    """Refuse a bundle that boards refuse as older than what they have; of one that is older and is taken, what to say.

    Raises:
        ChannelError: It is signed, and its serial is smaller than that of the channel's newest version.
    """
    before = next((one for one in reversed(channel.releases) if one.withdrawn is None), None)
    if before is None or not (place := folder / before.url).is_file():
        return None  # the first one, or one that is hosted elsewhere
    (manifest, is_signed), (newest, _) = read_head(source), read_head(place)
    if manifest.name != newest.name:
        return None
    if is_signed and manifest.serial < newest.serial:
        raise ChannelError(
            f"{source} is older than version {before.title} of the channel (serial {manifest.serial}, that one has "
            f"{newest.serial}): boards with a bundle.pub refuse it. Write the bundle again, or withdraw that version."
        )
    with contextlib.suppress(ValueError):
        if parse_time(manifest.created) < parse_time(newest.created):
            return (
                f"{source} was made at {manifest.created}, before version {before.title} of the channel "
                f"({newest.created}). If that is a mistake: edge channel withdraw."
            )
    return None


@contextlib.contextmanager
def _packed(bundle: str) -> Iterator[Path]:
    """The bundle as a ``.zip`` file."""
    if Path(bundle).is_file():
        yield Path(bundle)
        return
    opened = open_bundle(bundle)
    with tempfile.TemporaryDirectory() as scratch:
        packed = Path(scratch) / "bundle.zip"
        pack(opened, packed)
        yield packed


def _read_back(source: Path) -> None:
    """Make sure that every file in a bundle's archive is what its manifest says.

    Raises:
        BundleError: One is not.
    """
    with reading(source) as files, tempfile.TemporaryDirectory() as scratch:
        content = files.read(MANIFEST, MANIFEST_BYTES) or b""
        manifest = read_manifest(parse_json(content, f"Bundle manifest in {source}", BundleError), source)
        for entry in {one.file: one for one in manifest.files()}.values():
            with writing(Path(scratch) / entry.file):
                files.copy(entry, Path(scratch))


def _release(channel: Channel, package: Package, offer: Offer, url: str, now: datetime) -> Release:
    before = next((one for one in reversed(channel.releases) if one.withdrawn is None), None)
    return Release(
        version=package.version,
        bundle_name=package.bundle_name,
        url=url,
        sha256=package.sha256,
        size_bytes=package.size_bytes,
        installed_bytes=package.installed_bytes,
        published=timestamp(now),
        label=offer.label,
        parent=before.version if before else None,
        not_before=timestamp(offer.not_before) if offer.not_before else None,
        runtime=offer.runtime,
        gate=offer.gate or (before.gate if before else Gate()),
        rings=offer.rings or (before.rings if before else DEFAULT_RINGS),
        open_rings=1,
    )


def _place(source: Path, target: Path, package: Package) -> None:
    """Put the ``.zip`` file where the host serves it, and read it back there."""
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with new_file(target) as temporary:
        shutil.copyfile(source, temporary)
    if inspect(target) != package:
        raise ChannelError(f"{target} is not what was written to it: check the disk. Nothing is published.")
