"""Everyday things without a workstation: Google's quantized ImageNet networks as a bundle of this machine.

The files are those of TensorFlow's hosted models, trained by Google (Apache-2.0), one archive for each α and ρ:
tensorflow/tensorflow ``tensorflow/lite/g3doc/guide/hosted_models.md``, from where the accuracies are, too. No checksums
are published: a file that comes for the first time is examined, and from then on only that very file will do.
"""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.bundles.variant import Variant
from edge.errors import BackendError, BundleError, DownloadError, VariantError, WrongFileError
from edge.files import sha256_of, write_atomically
from edge.json_files import read_json
from edge.paths import cache_folder
from edge.progress import Progress, no_progress, part_of
from edge.updates.download import Limits, download
from edge.updates.download.lock import Lock, Locked
from edge.updates.importing import ImportOptions, import_models
from edge.updates.install import Activation, activate
from edge.updates.ready_models import read_ready_model

__all__ = ["DEFAULT_VARIANTS", "LOCK", "MIRROR", "NAME", "PUBLISHED_TOP1", "class_names", "fetch_bundle"]

HOST: Final = "https://storage.googleapis.com"
MIRROR: Final = "MNE_MIRROR"
"""Environment variable: what stands in for the host, with the same paths below it."""
LOCK: Final = "hosted.lock.json"
NAME: Final = "imagenet"
CLASSES: Final = 1001
"""ImageNet's thousand, and the background before them."""
_MODELS: Final = "download.tensorflow.org/models/mobilenet_v1_2018_08_02"
_CLASS_INDEX: Final = "download.tensorflow.org/data/imagenet_class_index.json"
_LARGEST_MODEL: Final = 32 << 20
_LARGEST_ARCHIVE: Final = 128 << 20
PUBLISHED_TOP1: Final[Mapping[Variant, float]] = {
    Variant(1.0, 224): 0.700,
    Variant(1.0, 192): 0.691,
    Variant(1.0, 160): 0.669,
    Variant(1.0, 128): 0.633,
    Variant(0.75, 224): 0.669,
    Variant(0.75, 192): 0.661,
    Variant(0.75, 160): 0.624,
    Variant(0.75, 128): 0.559,
    Variant(0.5, 224): 0.612,
    Variant(0.5, 192): 0.599,
    Variant(0.5, 160): 0.572,
    Variant(0.5, 128): 0.549,
    Variant(0.25, 224): 0.482,
    Variant(0.25, 192): 0.457,
    Variant(0.25, 160): 0.428,
    Variant(0.25, 128): 0.395,
}
"""Top-1 of the uint8 files on ImageNet's validation pictures, as hosted_models.md prints it (commit 0406598a)."""
DEFAULT_VARIANTS: Final = tuple(
    Variant.parse(name) for name in ("1.0_224", "1.0_160", "0.75_192", "0.5_160", "0.25_128")
)
"""From the most accurate to the fastest, each a step apart: 13 MB of models."""


@dataclass(frozen=True, slots=True)
class _Hosted:
    """One file at the host."""

    path: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    def url(self, environment: Mapping[str, str]) -> str:
        return f"{(environment.get(MIRROR) or HOST).rstrip('/')}/{self.path}"


def fetch_bundle(
    variants: Sequence[Variant] = DEFAULT_VARIANTS,
    *,
    cache: Path | None = None,
    folder: Path | None = None,
    limits: Limits = Limits(),
    environment: Mapping[str, str] = os.environ,
    progress: Progress = no_progress,
    announce: Callable[[str], None] = lambda message: None,
) -> Activation:
    """Fetch the networks, make the bundle ``imagenet`` of them and install it; what is here and right stays.

    Args:
        variants: Some of :data:`PUBLISHED_TOP1`.
        cache: Where fetched files are kept; None for the user's cache.
        folder: Where bundles are installed; None for :func:`edge.bundles.registry.bundles_folder`.
        limits: How long to wait and how often to try.
        environment: May name a mirror.
        progress: Called as the work goes on.
        announce: Called when another process has to be waited for.

    Raises:
        VariantError: A variant is not published.
        DownloadError: A file cannot be fetched, or is not the one that came first.
        OutputError: A file cannot be written.
        BundleError: The bundle cannot be installed.
    """
    unknown = [variant.name for variant in variants if variant not in PUBLISHED_TOP1]
    if unknown or not variants:
        raise VariantError(f"No hosted model {', '.join(unknown)}: expected α of 1, 0.75, 0.5, 0.25 at ρ 224 to 128.")
    cache = cache or cache_folder() / "hosted"
    lock = Lock(cache / LOCK)
    count = len(variants) + 1
    labels = _label_file(cache, lock, limits, environment, part_of(progress, 0, 0.8 / count))
    models = []
    for number, variant in enumerate(dict.fromkeys(variants), start=1):
        part = part_of(progress, 0.8 * number / count, 0.8 / count, f"{variant.name}: ")
        models.append(_model(variant, cache, lock, limits, environment, part))
    options = ImportOptions(
        labels=labels,
        source={"publisher": "Google, TensorFlow Lite hosted models", "license": "Apache-2.0"},
        published_top1={variant.name: top1 for variant, top1 in PUBLISHED_TOP1.items()},
    )
    with tempfile.TemporaryDirectory(prefix="mobilenet-edge-") as scratch:
        made = Path(scratch) / NAME
        import_models(models, made, options, progress=part_of(progress, 0.8, 0.2))
        return activate(str(made), folder=folder, announce=announce)


def _label_file(cache: Path, lock: Lock, limits: Limits, environment: Mapping[str, str], progress: Progress) -> Path:
    hosted, labels = _Hosted(_CLASS_INDEX), cache / "labels.txt"
    index = _fetched(hosted, cache, lock, limits, environment, progress)
    try:
        names = class_names(index)
    except DownloadError:
        index.unlink(missing_ok=True)
        raise
    _remember(lock, hosted, index)
    write_atomically(labels, "".join(f"{label}\n" for label in ("background", *names)))
    return labels


def class_names(index: Path) -> list[str]:
    """The names in Keras' class index: ``{"0": ["n01440764", "tench"], ...}``; two of one name get their number.

    Raises:
        DownloadError: The file is not such an index.
    """
    values = read_json(index, "list of classes", DownloadError)
    try:
        rows = [(str(number), str(name).replace("_", " ")) for number, name in (values[str(n)] for n in range(1000))]
    except (KeyError, TypeError, ValueError) as reason:
        raise DownloadError(f"List of classes {index} is not ImageNet's: expected classes 0 to 999.") from reason
    names = [name for _, name in rows]
    return [f"{name} ({number})" if names.count(name) > 1 else name for number, name in rows]


def _fetched(
    hosted: _Hosted, cache: Path, lock: Lock, limits: Limits, environment: Mapping[str, str], progress: Progress
) -> Path:
    """The file, fetched if it is not here; held against the lock file where it was fetched before."""
    path, known = cache / hosted.name, lock.get(hosted.name)
    try:
        return download(
            hosted.url(environment),
            path,
            expected_sha256=None if known is None else known.sha256,
            expected_bytes=None if known is None else known.size_bytes,
            limits=limits,
            progress=progress,
        )
    except WrongFileError as reason:
        raise WrongFileError(f"{reason} {lock.path} has it from when it was first fetched.") from reason


def _remember(lock: Lock, hosted: _Hosted, path: Path) -> None:
    """Write down what a file is that was examined."""
    if lock.get(hosted.name) is None:
        lock.add(hosted.name, Locked(url=hosted.url({}), size_bytes=path.stat().st_size, sha256=sha256_of(path)))


def _model(
    variant: Variant, cache: Path, lock: Lock, limits: Limits, environment: Mapping[str, str], progress: Progress
) -> Path:
    """The variant's ``.tflite`` file out of its archive."""
    stem = f"mobilenet_v1_{variant.alpha}_{variant.resolution}_quant"
    hosted = _Hosted(f"{_MODELS}/{stem}.tgz")
    archive = _fetched(hosted, cache, lock, limits, environment, progress)
    model = cache / f"{stem}.tflite"
    try:
        write_atomically(model, _member(archive))
        found = read_ready_model(model)
        if found.variant != variant or found.classes != CLASSES:
            raise BundleError(f"it holds {found.variant.name} of {found.classes} classes")
    except (BackendError, BundleError) as reason:
        archive.unlink(missing_ok=True)
        model.unlink(missing_ok=True)
        url = hosted.url(environment)
        raise DownloadError(f"What {url} gave is not the file of that name, and was not kept: {reason}") from reason
    _remember(lock, hosted, archive)
    return model


def _member(archive: Path) -> bytes:
    """The bytes of the ``.tflite`` file in a ``.tgz``, read without unpacking anything else."""
    try:
        total = 0
        with tarfile.open(archive, "r|gz") as members:
            for member in members:
                total += member.size
                if total > _LARGEST_ARCHIVE or (member.name.endswith(".tflite") and member.size > _LARGEST_MODEL):
                    raise BundleError(f"its {member.name} is larger than any of these networks")
                if member.isfile() and member.name.endswith(".tflite"):
                    file = members.extractfile(member)
                    assert file is not None
                    return file.read()
    except (tarfile.TarError, OSError, EOFError, ValueError) as reason:
        raise BundleError(f"it is not a .tgz archive ({reason})") from reason
    raise BundleError("there is no .tflite file in it")
