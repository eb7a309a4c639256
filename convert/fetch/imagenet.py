"""Google's sixteen ImageNet networks, one for each α and ρ, as Keras Applications publishes them.

Addresses and names: keras-team/keras ``keras/src/applications/mobilenet.py`` and ``imagenet_utils.py``. The weights
are those of TF-slim, trained by Google; licence Apache-2.0.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from convert.checkpoints import load_checkpoint
from convert.errors import CheckpointError
from edge.bundles.variant import ALPHAS, RESOLUTIONS, Variant
from edge.errors import DownloadError, VariantError, WrongFileError
from edge.files import sha256_of, write_atomically
from edge.paths import cache_folder
from edge.progress import Progress, no_progress, part_of
from edge.updates.download import Limits, download
from edge.updates.download.lock import Lock, Locked
from edge.updates.hosted import class_names

__all__ = [
    "AUTHOR",
    "LICENSE",
    "LOCK",
    "MIRROR",
    "Fetched",
    "Published",
    "default_folder",
    "fetch_imagenet",
    "published",
]

AUTHOR: Final = "Google, as published by Keras Applications"
LICENSE: Final = "Apache-2.0"
HOST: Final = "https://storage.googleapis.com"
MIRROR: Final = "MNE_MIRROR"
"""Environment variable: what stands in for the host, with the same paths below it."""
LOCK: Final = "fetch.lock.json"
LABELS: Final = "labels.txt"
CLASSES: Final = 1000
_WEIGHTS: Final = "tensorflow/keras-applications/mobilenet"
_CLASS_INDEX: Final = "imagenet_class_index.json"
_CLASS_INDEX_FOLDER: Final = "download.tensorflow.org/data"
_TAGS: Final = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One file and where it is published."""

    name: str
    path: str
    """Below the host."""
    variant: Variant | None = None
    """Whose weights it holds; None for the list of classes."""

    def url(self, environment: Mapping[str, str] = os.environ) -> str:
        """Its address: at the host, or at the mirror that the environment names."""
        return f"{(environment.get(MIRROR) or HOST).rstrip('/')}/{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """One file that is here and whole."""

    published: Published
    path: Path
    size_bytes: int
    sha256: str
    is_new: bool
    """Whether it was fetched just now."""


def default_folder() -> Path:
    """Where fetched files are kept by default: ``~/.cache/mobilenet-edge/imagenet``."""
    return cache_folder() / "imagenet"


def published(alphas: Sequence[float] = ALPHAS, resolutions: Sequence[int] = RESOLUTIONS) -> list[Published]:
    """The weights of each α at each ρ.

    Raises:
        VariantError: There are none of an α or ρ.
    """
    for what, asked, there in (("α", alphas, ALPHAS), ("ρ", resolutions, RESOLUTIONS)):
        odd = [f"{value:g}" for value in asked if value not in there]
        if odd or not asked:
            known = ", ".join(f"{value:g}" for value in there)
            raise VariantError(f"No weights are published for {what} {', '.join(odd)}: expected some of {known}.")
    names = {Variant(a, r): f"mobilenet_{_TAGS[a]}_{r}_tf.h5" for a in ALPHAS for r in RESOLUTIONS}
    return [
        Published(name=name, path=f"{_WEIGHTS}/{name}", variant=variant)
        for variant, name in names.items()
        if variant.alpha in alphas and variant.resolution in resolutions
    ]


def fetch_imagenet(
    wanted: Sequence[Published],
    folder: Path,
    *,
    lock: Lock | None = None,
    limits: Limits = Limits(),
    environment: Mapping[str, str] = os.environ,
    progress: Progress = no_progress,
) -> tuple[list[Fetched], Path]:
    """Fetch weights, and the classes' names beside them; what is here and right stays.

    Args:
        wanted: Some of :func:`published`.
        folder: Where they go; it is made.
        lock: What they have to be; None for the lock file in ``folder``.
        limits: How long to wait and how often to try.
        environment: May name a mirror.
        progress: Called as the work goes on.

    Returns:
        The files, and the file of labels made of the list of classes.

    Raises:
        DownloadError: A file cannot be fetched, is not the one that the lock file knows, or not what it should be.
        OutputError: A file cannot be written.
    """
    lock = lock or Lock(folder / LOCK)
    classes = Published(name=_CLASS_INDEX, path=f"{_CLASS_INDEX_FOLDER}/{_CLASS_INDEX}")
    found = []
    for number, one in enumerate([classes, *wanted]):
        count = 1 + len(wanted)
        part = part_of(progress, number / count, 1 / count, f"{one.name}: ")
        found.append(_fetch(one, folder, lock, limits, one.url(environment), part))
    labels = folder / LABELS
    write_atomically(labels, "".join(f"{label}\n" for label in class_names(found[0].path)))
    return found[1:], labels


def _fetch(one: Published, folder: Path, lock: Lock, limits: Limits, url: str, progress: Progress) -> Fetched:
    path, known = folder / one.name, lock.get(one.name)
    before = path.stat().st_mtime_ns if path.is_file() else None
    if known is None:
        download(url, path, limits=limits, progress=progress)
        _check(one, path, url)
        known = Locked(url=url, size_bytes=path.stat().st_size, sha256=sha256_of(path))
        lock.add(one.name, known)
    else:
        try:
            download(
                url,
                path,
                expected_sha256=known.sha256,
                expected_bytes=known.size_bytes,
                limits=limits,
                progress=progress,
            )
        except WrongFileError as reason:
            raise WrongFileError(f"{reason} So says {lock.path}, from when it was first fetched.") from reason
    return Fetched(
        published=one,
        path=path,
        size_bytes=known.size_bytes,
        sha256=known.sha256,
        is_new=path.stat().st_mtime_ns != before,
    )


def _check(one: Published, path: Path, url: str) -> None:
    """Refuse what is not what it should be, before it is written down as that."""
    try:
        if one.variant is None:
            class_names(path)
            return
        config = load_checkpoint(path).config
        if (config.alpha, config.classes) != (one.variant.alpha, CLASSES):
            raise CheckpointError(f"it has α={config.alpha:g} and {config.classes} classes")
    except (CheckpointError, DownloadError) as reason:
        path.unlink(missing_ok=True)
        raise DownloadError(f"What {url} gave is not the file of that name, and was not kept: {reason}") from reason
