"""Bundles as one file, and archives that mean ill."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edge.bundles.bundle import MANIFEST, open_bundle
from edge.bundles.manifest import FileEntry
from edge.errors import BundleError, OutputError
from edge.updates.archive import Source, pack, reading
from edge.updates.signature import SIGNATURE
from tests.edge.conftest import file_entry


@pytest.fixture
def packed(bundle_folder: Path, tmp_path: Path) -> Path:
    out = tmp_path / "tiny.zip"
    pack(open_bundle(bundle_folder), out)
    return out


def make_zip(path: Path, files: Mapping[Any, bytes], **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def copied(source: Path, entry: FileEntry, to: Path) -> bytes:
    with reading(source) as files:
        files.copy(entry, to)
    return (to / entry.file).read_bytes()


def complaint(source: Path, entry: FileEntry, to: Path) -> str:
    with pytest.raises(BundleError) as refused, reading(source) as files:
        files.copy(entry, to)
    return str(refused.value)


@pytest.mark.parametrize("is_packed", [False, True])
def test_every_file_comes_as_it_was(bundle_folder: Path, packed: Path, tmp_path: Path, is_packed: bool) -> None:
    bundle = open_bundle(bundle_folder)
    with reading(packed if is_packed else bundle_folder) as files:
        assert files.read(MANIFEST, 100_000) == (bundle_folder / MANIFEST).read_bytes()
        assert files.read(SIGNATURE, 64) is None
        for entry in bundle.manifest.files():
            files.copy(entry, tmp_path / "copy")
            assert (tmp_path / "copy" / entry.file).read_bytes() == (bundle_folder / entry.file).read_bytes()


def test_the_same_bundle_gives_the_same_file(bundle_folder: Path, packed: Path, tmp_path: Path) -> None:
    os.utime(bundle_folder / "labels.txt", (0, 0))
    pack(open_bundle(bundle_folder), tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()


def test_the_signature_goes_along(bundle_folder: Path, tmp_path: Path) -> None:
    bundle, out = open_bundle(bundle_folder), tmp_path / "signed.zip"
    pack(bundle, out, b"x" * 64)
    with reading(out) as files:
        assert files.read(SIGNATURE, 64) == b"x" * 64
    (bundle_folder / SIGNATURE).write_bytes(b"y" * 64)
    pack(bundle, out)
    with reading(out) as files:
        assert files.read(SIGNATURE, 64) == b"y" * 64


def test_a_place_that_cannot_be_written_keeps_what_it_has(bundle_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        pack(open_bundle(bundle_folder), tmp_path / "no" / "tiny.zip")


def test_a_bundle_packed_with_its_folder_is_found(tmp_path: Path) -> None:
    path = make_zip(
        tmp_path / "b.zip", {"birds/manifest.json": b"{}", "birds/a": b"A", "birds/golden/manifest.json": b""}
    )
    with reading(path) as source:
        assert source.read(MANIFEST, 10) == b"{}"
        assert source.read("a", 10) == b"A"


class TestIllWill:
    def test_names_that_lead_elsewhere_are_never_touched(self, tmp_path: Path) -> None:
        evil: dict[str | zipfile.ZipInfo, bytes] = {
            "../../evil": b"x",
            "/evil": b"x",
            "a/../../evil": b"x",
            "good": b"G",
        }
        path = make_zip(tmp_path / "b.zip", evil)
        assert copied(path, file_entry("good", b"G"), tmp_path / "in" / "to") == b"G"
        assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == [
            "b.zip",
            "in",
            "in/to",
            "in/to/good",
        ]

    def test_a_manifest_cannot_name_them(self) -> None:
        for name in ("../evil", "/evil", "a/../../evil", "a\\..\\evil"):
            with pytest.raises(BundleError, match="would lie outside the bundle"):
                file_entry(name, b"x")

    def test_a_link_is_only_its_text(self, tmp_path: Path) -> None:
        link = zipfile.ZipInfo("model")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        path = make_zip(tmp_path / "b.zip", {link: b"/etc/passwd"})
        copied(path, file_entry("model", b"/etc/passwd"), tmp_path / "to")
        assert not (tmp_path / "to/model").is_symlink()
        told = complaint(path, file_entry("model", Path("/etc/passwd").read_bytes()), tmp_path / "to2")
        assert told == f"model in {path} is not what its manifest says: get the bundle again."

    def test_a_bomb_stops_at_the_size_the_manifest_gives(self, tmp_path: Path) -> None:
        path = make_zip(tmp_path / "b.zip", {"model": bytes(50_000_000)}, compression=zipfile.ZIP_DEFLATED)
        assert path.stat().st_size < 100_000
        assert "is not what its manifest says" in complaint(path, file_entry("model", bytes(1000)), tmp_path / "to")
        assert (tmp_path / "to/model").stat().st_size == 1001

    def test_a_manifest_longer_than_any_is_not_read_to_its_end(self, tmp_path: Path) -> None:
        path = make_zip(tmp_path / "b.zip", {MANIFEST: bytes(50_000_000)}, compression=zipfile.ZIP_DEFLATED)
        with pytest.raises(BundleError, match=r"longer than 1000 bytes: this is no bundle"), reading(path) as files:
            files.read(MANIFEST, 1000)

    def test_a_name_that_stands_there_twice_is_still_held_against_the_checksum(self, tmp_path: Path) -> None:
        with pytest.warns(UserWarning, match="Duplicate name"):
            path = tmp_path / "b.zip"
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("model", b"first")
                archive.writestr("model", b"last")
        assert copied(path, file_entry("model", b"last"), tmp_path / "to") == b"last"
        assert "not what its manifest says" in complaint(path, file_entry("model", b"first"), tmp_path / "to2")


class TestDamage:
    def test_no_archive_at_all(self, tmp_path: Path) -> None:
        (tmp_path / "b.zip").write_bytes(b"<html>")
        for place, told in (
            ("b.zip", "is no .zip file of a bundle: edge bundle pack BUNDLE OUT.zip writes one."),
            ("none.zip", "expected a bundle's folder, a .zip file of one, or https://HOST/PATH."),
        ):
            with pytest.raises(BundleError) as refused, reading(tmp_path / place):
                pass
            assert str(refused.value).endswith(told)

    def test_any_cut_and_any_flipped_byte_is_found_out(self, packed: Path, bundle_folder: Path, tmp_path: Path) -> None:
        """Or falls on a place that says nothing."""
        whole, bundle = packed.read_bytes(), open_bundle(bundle_folder)
        cuts = [whole[:n] for n in range(0, len(whole), 150)]
        flips = [whole[:n] + bytes([whole[n] ^ 0x55]) + whole[n + 1 :] for n in range(0, len(whole), 41)]
        refused = 0
        for number, content in enumerate(cuts + flips):
            broken, to = tmp_path / "broken.zip", tmp_path / str(number)
            broken.write_bytes(content)
            try:
                with reading(broken) as files:
                    head = files.read(MANIFEST, 100_000)
                    for entry in bundle.manifest.files():
                        files.copy(entry, to)
            except BundleError:
                head = None
            if head is None:
                refused += 1
                continue
            assert head == (bundle_folder / MANIFEST).read_bytes()
            for entry in bundle.manifest.files():
                assert (to / entry.file).read_bytes() == (bundle_folder / entry.file).read_bytes()
        assert refused > len(cuts)

    def test_a_missing_file_is_named(self, packed: Path, bundle_folder: Path, tmp_path: Path) -> None:
        for place in (packed, bundle_folder):
            told = complaint(place, file_entry("none", b""), tmp_path / f"to-{place.name}")
            assert told == f"{place} lacks none: get the bundle again."

    def test_a_folder_in_a_files_place(self, bundle_folder: Path, tmp_path: Path) -> None:
        (bundle_folder / "model").mkdir()
        told = complaint(bundle_folder, file_entry("model", b""), tmp_path / "to")
        assert told == f"Cannot read model in {bundle_folder} (is a directory): get the bundle again."

    def test_a_bundle_with_a_password(self, tmp_path: Path) -> None:
        def opens(name: str) -> Any:
            raise RuntimeError(f"File '{name}' is encrypted, password required for extraction")

        with pytest.raises(BundleError, match="is encrypted, password required"):
            Source(tmp_path, opens).read("model", 10)
