"""A bundle: one folder with a manifest, the labels and the model files of every variant.

It is written once, on a workstation (``convert.pipeline.bundle``), and only read on the device. Opening one checks
every file's size and SHA-256 first: what loads is what was measured.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path, PurePosixPath

from edge.bundles.manifest import BundledVariant, Manifest, read_manifest
from edge.bundles.members import MANIFEST, MANIFEST_BYTES, check_member, check_picture, read_member
from edge.bundles.registry import bundles_folders, find_installed, installed_bundles, version_of
from edge.bundles.variant import Variant
from edge.errors import BundleError, os_reason
from edge.json_files import parse_json
from edge.paths import AnyPath, is_there

__all__ = [
    "MANIFEST",
    "Bundle",
    "is_vouched_for",
    "label_mismatch",
    "open_bundle",
    "read_labels",
    "shipped_bundles",
    "shipped_folder",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """An opened bundle, whose files were all verified against the manifest."""

    root: Path
    manifest: Manifest = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    """The classes' names, in the order of the network's outputs."""
    version: str = field(default="", compare=False)
    """What tells its content from any other's: :func:`edge.bundles.registry.version_of`; empty while it is written."""

    @property
    def name(self) -> str:
        """The bundle's name."""
        return self.manifest.name

    @property
    def variants(self) -> tuple[BundledVariant, ...]:
        """Its variants, most expensive first."""
        return self.manifest.variants

    @property
    def most_accurate(self) -> Variant:
        """The variant with the highest measured top-1; the largest where one was measured without labels."""
        top1 = [entry.artifacts[0].accuracy.top1 or 0.0 for entry in self.variants]
        return self.variants[top1.index(max(top1)) if all(top1) else 0].variant

    def find(self, variant: Variant) -> BundledVariant:
        """The entry of ``variant``.

        Raises:
            BundleError: The bundle does not have it.
        """
        for entry in self.variants:
            if entry.variant == variant:
                return entry
        known = ", ".join(entry.variant.name for entry in self.variants)
        raise BundleError(f"Bundle {self.name} has no {variant.name}: it has {known}.")

    def path(self, file: str) -> Path:
        """The path of a file that the manifest names."""
        return self.root / PurePosixPath(file)


def open_bundle(place: AnyPath | Bundle) -> Bundle:
    """Open a bundle and check every file in it.

    Args:
        place: A folder, or the name of a bundle that is installed (:mod:`edge.bundles.registry`) or ships with the
            package: ``demo``. An installed one comes before a shipped one. A bundle that is already open is returned.

    Raises:
        BundleError: It is missing, damaged, of another schema, or names a file outside its folder.
    """
    if isinstance(place, Bundle):
        return place
    root = _locate(place)
    path = root / MANIFEST
    try:
        content = read_member(root, MANIFEST, MANIFEST_BYTES)
    except BundleError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise BundleError(f"{root} is not a bundle: it has no {MANIFEST}.") from error.__cause__
        raise
    manifest = read_manifest(parse_json(content, f"Bundle manifest {path}", BundleError), path)
    for entry in manifest.files():
        check_member(root, entry)
    for picture in () if manifest.golden is None else manifest.golden.pictures:
        check_picture(root, picture)
    labels = read_labels(root / PurePosixPath(manifest.labels.file))
    if len(labels) != manifest.classes:
        raise BundleError(f"Bundle {root} has {len(labels)} labels for {manifest.classes} classes: write it again.")
    return Bundle(root=root, manifest=manifest, labels=labels, version=version_of(content))


def shipped_bundles() -> tuple[str, ...]:
    """The names of the bundles that ship with the package."""
    home = _home()
    return tuple(sorted(p.name for p in home.iterdir() if (p / MANIFEST).is_file())) if home.is_dir() else ()


def shipped_folder(name: str) -> Path | None:
    """Where the shipped bundle of this name is; None if there is none."""
    return _home() / name if name in shipped_bundles() else None


def is_vouched_for(root: Path) -> bool:
    """Whether a bundle's folder ships with the package, or was installed, which means that its models were run."""
    place = root.resolve()
    homes = [folder.resolve() for folder in bundles_folders()]
    is_version = place.parent.name == "versions" and place.parents[1].parent in homes
    return place.parent == _home().resolve() or (is_version and not place.name.startswith("."))


def read_labels(path: Path) -> tuple[str, ...]:
    """The labels in a text file: line N is class N. A byte order mark, CRLF and ``id label`` lines are understood.

    Raises:
        BundleError: The file is missing, not UTF-8, or empty.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as reason:
        raise BundleError(f"Cannot read labels {path}: {os_reason(reason)}.") from reason
    except UnicodeDecodeError as reason:
        raise BundleError(f"Labels {path} are not UTF-8 text ({reason.reason}): save the file as UTF-8.") from reason
    lines = [line.strip() for line in text.rstrip().splitlines()]
    if not lines:
        raise BundleError(f"Labels {path} are empty: expected one label a line, line N for class N.")
    return tuple(_without_numbers(lines))


def label_mismatch(labels: int, classes: int) -> str:
    """The likely cause of a wrong number of labels, as the end of a sentence."""
    if abs(labels - classes) == 1:
        return "off by one: background class? TF-slim's lists begin with 'background', Keras' do not."
    return "they belong to another model."


def _without_numbers(lines: list[str]) -> Iterable[str]:
    """Drop the class numbers of ``0 label`` lines, if every line has its own."""
    numbered = [line.partition(" ") for line in lines]
    if all(head == str(n) and tail.strip() for n, (head, _, tail) in enumerate(numbered)):
        return [tail.strip() for _, _, tail in numbered]
    return lines


def _home() -> Path:
    return Path(str(files("edge") / "bundles"))


def _locate(place: AnyPath) -> Path:
    path = Path(place)
    if is_there(path, Path.is_dir):
        return path
    installed = find_installed(str(place))
    if installed is not None and installed.active is not None:
        return installed.folder(installed.active)
    if shipped := shipped_folder(str(place)):
        return shipped
    if installed is not None and installed.previous is not None:
        raise BundleError(
            f"Bundle {place} was put out of use: edge bundle rollback {place} puts version {installed.previous} to use."
        )
    known = ", ".join(sorted({*shipped_bundles(), *(one.name for one in installed_bundles())})) or "none"
    hint = " Fetch it: edge bundle fetch imagenet" if str(place) == "imagenet" else ""
    raise BundleError(
        f"There is no bundle {place}: expected a folder with a {MANIFEST}, or the name of an installed or shipped one "
        f"({known}).{hint}"
    )
