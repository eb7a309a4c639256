"""Opening bundles, whole and damaged."""

from __future__ import annotations

import json
import re
import shutil
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from edge.bundles import bundle as bundle_module
from edge.bundles.bundle import MANIFEST, Bundle, open_bundle, read_labels, shipped_bundles
from edge.bundles.manifest import Golden
from edge.bundles.variant import Variant
from edge.errors import BundleError
from tests.edge.conftest import LABELS, damaged, file_entry, make_bundle, make_manifest, write_bundle

MODEL = "mobilenet_v1_0.50_160_int8.tflite"
WHOLE: dict[str, Any] = json.loads(json.dumps(make_manifest().to_dict()))


def complaint(place: str | Path) -> str:
    with pytest.raises(BundleError) as refused:
        open_bundle(place)
    return str(refused.value)


@pytest.mark.parametrize("as_text", [False, True])
def test_a_whole_bundle_opens(bundle_folder: Path, as_text: bool) -> None:
    bundle = open_bundle(str(bundle_folder) if as_text else bundle_folder)
    assert bundle == Bundle(root=bundle_folder, manifest=make_manifest(), labels=LABELS)
    assert bundle.name == "tiny"
    assert bundle.path(MODEL).read_bytes().startswith(b"mobilenet_v1_0.50_160")


def test_its_version_changes_with_its_content(bundle_folder: Path) -> None:
    version = open_bundle(bundle_folder).version
    assert re.fullmatch("[0-9a-f]{16}", version)
    manifest = bundle_folder / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    assert open_bundle(bundle_folder).version != version


def test_an_open_bundle_is_returned_as_it_is(bundle_folder: Path) -> None:
    bundle = open_bundle(bundle_folder)
    assert open_bundle(bundle) is bundle


@pytest.mark.parametrize(
    ("top1", "name"),
    [
        ({"1.00_224": 0.8, "0.50_160": 0.9, "0.25_128": 0.5}, "mobilenet_v1_0.50_160"),
        ({"1.00_224": 0.8, "0.50_160": 0.9, "0.25_128": None}, "mobilenet_v1_1.00_224"),
        ({"1.00_224": 0.8, "0.50_160": 0.8}, "mobilenet_v1_1.00_224"),
    ],
)
def test_the_most_accurate_variant_is_by_top1_or_else_the_largest(top1: dict[str, Any], name: str) -> None:
    bundle = replace(make_bundle(), manifest=make_manifest(top1))
    assert bundle.most_accurate.name == name


def test_a_variant_is_found_by_name() -> None:
    assert make_bundle().find(Variant(0.5, 160)).variant.name == "mobilenet_v1_0.50_160"


def test_a_variant_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(BundleError) as refused:
        make_bundle().find(Variant(0.75, 192))
    assert str(refused.value) == (
        "Bundle tiny has no mobilenet_v1_0.75_192: "
        "it has mobilenet_v1_1.00_224, mobilenet_v1_0.50_160, mobilenet_v1_0.25_128."
    )


class TestPlaces:
    @pytest.fixture
    def shipped(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A package that ships two bundles."""
        home = tmp_path / "home"
        for name in ("demo", "birds"):
            write_bundle(home / name, make_manifest(name=name))
        (home / "__pycache__").mkdir()
        monkeypatch.setattr(bundle_module, "_home", lambda: home)
        return home

    def test_shipped_ones_open_by_name(self, shipped: Path) -> None:
        assert shipped_bundles() == ("birds", "demo")
        assert open_bundle("demo").root == shipped / "demo"

    def test_a_folder_comes_before_a_shipped_one(
        self, shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        write_bundle(tmp_path / "demo", make_manifest(name="mine"))
        assert open_bundle("demo").name == "mine"

    def test_an_unknown_name_is_answered_with_the_shipped_ones(self, shipped: Path) -> None:
        assert complaint("dmeo") == (
            "There is no bundle dmeo: expected a folder with a manifest.json, "
            "or the name of an installed or shipped one (birds, demo)."
        )

    def test_nothing_may_be_shipped(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bundle_module, "_home", lambda: tmp_path / "no")
        assert shipped_bundles() == ()
        assert complaint("demo").endswith("or the name of an installed or shipped one (none).")

    def test_a_file_is_no_bundle(self, shipped: Path) -> None:
        path = shipped / "demo" / MANIFEST
        assert complaint(path).startswith(f"There is no bundle {path}: expected a folder with a manifest.json")

    def test_names_do_not_lead_out_of_the_shipped_ones(self, shipped: Path) -> None:
        write_bundle(shipped.parent / "secret")
        assert complaint("../secret").startswith("There is no bundle ../secret")

    @pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
    def test_a_name_that_no_file_can_have_is_that_of_no_bundle(self, name: str) -> None:
        assert complaint(name).startswith(f"There is no bundle {name}")

    def test_the_real_home_is_in_the_package(self) -> None:
        assert bundle_module._home() == Path(bundle_module.__file__).parent


class TestDamage:
    def test_a_folder_without_manifest(self, tmp_path: Path) -> None:
        assert complaint(tmp_path) == f"{tmp_path} is not a bundle: it has no manifest.json."

    def test_a_manifest_cut_short(self, bundle_folder: Path) -> None:
        path = bundle_folder / MANIFEST
        path.write_bytes(path.read_bytes()[:200])
        assert complaint(bundle_folder).startswith(f"Bundle manifest {path} is not JSON (")
        assert complaint(bundle_folder).endswith("): the file is damaged or cut short.")

    def test_a_manifest_that_is_no_json(self, bundle_folder: Path) -> None:
        (bundle_folder / MANIFEST).write_text("name: tiny")
        assert complaint(bundle_folder) == (
            f"Bundle manifest {bundle_folder / MANIFEST} is not JSON (Expecting value: line 1 column 1 (char 0)): "
            "the file is damaged or cut short."
        )

    def test_a_newer_schema(self, bundle_folder: Path) -> None:
        (bundle_folder / MANIFEST).write_text(json.dumps(WHOLE | {"schema_version": 9, "variants": "of tomorrow"}))
        assert complaint(bundle_folder) == (
            f"Bundle manifest {bundle_folder / MANIFEST} has schema 9, this version reads 1: update mobilenet-edge."
        )

    @pytest.mark.parametrize("file", [MODEL, "labels.txt"])
    def test_a_missing_file(self, bundle_folder: Path, file: str) -> None:
        (bundle_folder / file).unlink()
        assert complaint(bundle_folder) == (
            f"Bundle {bundle_folder} lacks {file} (no such file or directory): copy the bundle again."
        )

    @pytest.mark.parametrize("file", [MODEL, "labels.txt"])
    def test_a_file_cut_short(self, bundle_folder: Path, file: str) -> None:
        path = bundle_folder / file
        size_bytes = path.stat().st_size
        path.write_bytes(path.read_bytes()[:10])
        assert complaint(bundle_folder) == (
            f"Bundle file {path} has 10 bytes, expected {size_bytes}: copy the bundle again."
        )

    def test_a_file_with_one_flipped_bit(self, bundle_folder: Path) -> None:
        path = bundle_folder / MODEL
        content = bytearray(path.read_bytes())
        content[0] ^= 1
        path.write_bytes(content)
        assert complaint(bundle_folder).startswith(
            f"Bundle file {path} is not the one that was measured: its SHA-256 is "
        )
        assert complaint(bundle_folder).endswith("…. Copy the bundle again.")

    def test_a_folder_in_a_files_place(self, bundle_folder: Path) -> None:
        (bundle_folder / "labels.txt").unlink()
        (bundle_folder / "labels.txt").mkdir()
        assert (
            complaint(bundle_folder)
            == f"Bundle {bundle_folder} lacks labels.txt (not a plain file): copy the bundle again."
        )

    @pytest.mark.parametrize("size", [(4001, 4000), (30_000, 30_000), (0, 1)])
    def test_a_golden_picture_too_large_to_decode(self, tmp_path: Path, size: tuple[int, int]) -> None:
        head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", *size) + bytes(9)
        golden = Golden(pictures=(file_entry("0.png", head),), inputs={}, answers={})
        folder = write_bundle(tmp_path / "golden", make_manifest(golden=golden), {"0.png": head})
        assert "is not a PNG of at most 16 megapixels: write the bundle again." in complaint(folder)

    def test_a_golden_picture_of_another_kind(self, tmp_path: Path) -> None:
        golden = Golden(pictures=(file_entry("0.png", b"GIF89a"),), inputs={}, answers={})
        folder = write_bundle(tmp_path / "golden", make_manifest(golden=golden), {"0.png": b"GIF89a"})
        assert "is not a PNG" in complaint(folder)

    def test_a_name_too_long_for_the_disk(self, bundle_folder: Path) -> None:
        manifest = json.loads(json.dumps(WHOLE))
        manifest["labels"]["file"] = "x" * 5000
        (bundle_folder / MANIFEST).write_text(json.dumps(manifest))
        assert "(file name too long): copy the bundle again." in complaint(bundle_folder)

    def test_files_outside_the_folder_are_not_looked_at(self, bundle_folder: Path) -> None:
        shutil.move(bundle_folder / "labels.txt", bundle_folder.parent / "labels.txt")
        manifest = json.loads(json.dumps(WHOLE))
        manifest["labels"]["file"] = "../labels.txt"
        (bundle_folder / MANIFEST).write_text(json.dumps(manifest))
        assert complaint(bundle_folder) == (
            f"Bundle manifest {bundle_folder / MANIFEST} cannot be used: "
            "file '../labels.txt' would lie outside the bundle."
        )

    @pytest.mark.parametrize("labels", [LABELS[:-1], (*LABELS, "background")])
    def test_labels_of_another_count(self, tmp_path: Path, labels: tuple[str, ...]) -> None:
        content = "\n".join(labels).encode()
        manifest = replace(make_manifest(), labels=file_entry("labels.txt", content))
        folder = write_bundle(tmp_path / "tiny", manifest, {"labels.txt": content})
        assert complaint(folder) == f"Bundle {folder} has {len(labels)} labels for 5 classes: write it again."

    @given(values=damaged(WHOLE))
    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    def test_any_damage_to_the_manifest_is_a_bundle_error_or_harmless(
        self, bundle_folder: Path, values: dict[str, Any]
    ) -> None:
        (bundle_folder / MANIFEST).write_text(json.dumps(values))
        try:
            assert open_bundle(bundle_folder).labels == LABELS
        except BundleError as refused:
            assert str(bundle_folder) in str(refused)


class TestLabels:
    @pytest.mark.parametrize(
        "content",
        [
            b"red\ngreen apple\nblue\n",
            b"red\ngreen apple\nblue",
            b"red\r\ngreen apple\r\nblue\r\n",
            b"\xef\xbb\xbfred\ngreen apple\nblue\n\n\n",
            b"0 red\n1 green apple\n2 blue\n",
            b"\xef\xbb\xbf0 red\r\n1  green apple\r\n2 blue\r\n",
            b"  red \n\tgreen apple\nblue",
        ],
    )
    def test_all_usual_forms_are_understood(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "labels.txt").write_bytes(content)
        assert read_labels(tmp_path / "labels.txt") == ("red", "green apple", "blue")

    @pytest.mark.parametrize(
        ("content", "labels"),
        [
            ("0\n1\n2\n", ("0", "1", "2")),
            ("1 red\n2 green\n", ("1 red", "2 green")),
            ("0 red\ngreen\n", ("0 red", "green")),
            ("größe\n日本\n", ("größe", "日本")),
        ],
    )
    def test_numbers_that_belong_to_the_labels_stay(
        self, tmp_path: Path, content: str, labels: tuple[str, ...]
    ) -> None:
        (tmp_path / "labels.txt").write_text(content, encoding="utf-8")
        assert read_labels(tmp_path / "labels.txt") == labels

    def test_an_empty_line_between_keeps_the_classes_in_their_places(self, tmp_path: Path) -> None:
        (tmp_path / "labels.txt").write_text("red\n\nblue\n")
        assert read_labels(tmp_path / "labels.txt") == ("red", "", "blue")

    @pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf  \n"])
    def test_empty_ones_are_refused(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "labels.txt"
        path.write_bytes(content)
        with pytest.raises(BundleError) as refused:
            read_labels(path)
        assert str(refused.value) == f"Labels {path} are empty: expected one label a line, line N for class N."

    def test_other_encodings_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "labels.txt"
        path.write_bytes("größe".encode("latin-1"))
        with pytest.raises(BundleError) as refused:
            read_labels(path)
        assert str(refused.value) == (f"Labels {path} are not UTF-8 text (invalid start byte): save the file as UTF-8.")

    def test_missing_ones_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(BundleError) as refused:
            read_labels(tmp_path / "no.txt")
        assert str(refused.value) == f"Cannot read labels {tmp_path / 'no.txt'}: no such file or directory."
