"""The manifest: written and read back, and what is wrong with it said in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bundles.manifest import SCHEMA_VERSION, Accuracy, BundledVariant, Manifest, read_manifest
from edge.bundles.members import FileEntry
from edge.bundles.variant import Variant
from edge.errors import BundleError
from tests.edge.conftest import bundled, damaged, make_manifest

PATH = Path("tiny/manifest.json")
WHOLE: dict[str, Any] = json.loads(json.dumps(make_manifest().to_dict()))
Change = Callable[[dict[str, Any]], object]


def complaint(change: Change) -> str:
    values = json.loads(json.dumps(WHOLE))
    change(values)
    with pytest.raises(BundleError) as refused:
        read_manifest(values, PATH)
    return str(refused.value)


def at(*keys: Any, value: Any) -> Change:
    """Put ``value`` at the place that ``keys`` lead to."""

    def change(values: Any) -> None:
        for key in keys[:-1]:
            values = values[key]
        values[keys[-1]] = value

    return change


def without(*keys: Any) -> Change:
    def change(values: Any) -> None:
        for key in keys[:-1]:
            values = values[key]
        del values[keys[-1]]

    return change


def test_a_manifest_reads_back_from_json() -> None:
    manifest = make_manifest({"1.00_224": None, "0.25_128": None})
    assert read_manifest(json.loads(json.dumps(manifest.to_dict())), PATH) == manifest


def test_its_json_begins_with_the_schema_version() -> None:
    assert next(iter(WHOLE.items())) == ("schema_version", SCHEMA_VERSION)


def test_variants_are_read_most_expensive_first_whatever_the_order_in_the_file() -> None:
    values = json.loads(json.dumps(WHOLE))
    values["variants"].reverse()
    assert read_manifest(values, PATH) == make_manifest()


def test_it_names_every_file() -> None:
    assert [entry.file for entry in make_manifest().files()] == [
        "labels.txt",
        "mobilenet_v1_1.00_224_int8.tflite",
        "mobilenet_v1_0.50_160_int8.tflite",
        "mobilenet_v1_0.25_128_int8.tflite",
    ]


def test_a_variants_file_is_found_by_format_precision_and_checksum() -> None:
    entry: BundledVariant = bundled("0.5_160", 0.8, 5, "tflite", "onnx")
    tflite, onnx = entry.artifacts
    assert entry.artifact("tflite") is tflite
    assert entry.artifact("onnx", "int8") is onnx
    assert entry.artifact("onnx", "fp32") is None
    assert entry.artifact("engine") is None
    assert entry.artifact_of(tflite.sha256) is tflite
    assert entry.artifact_of("0" * 64) is None


@pytest.mark.parametrize(
    ("version", "shown", "advice"),
    [
        (2, "2", "update mobilenet-edge."),
        (0, "0", "write the bundle again with edge-convert bundle."),
        ("1", "'1'", "write the bundle again with edge-convert bundle."),
        (None, "None", "write the bundle again with edge-convert bundle."),
    ],
)
def test_another_schema_is_refused_with_the_way_out(version: Any, shown: str, advice: str) -> None:
    assert complaint(at("schema_version", value=version)) == (
        f"Bundle manifest {PATH} has schema {shown}, this version reads 1: {advice}"
    )


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        (("name",), "name"),
        (("created",), "created"),
        (("classes",), "classes"),
        (("labels",), "labels"),
        (("labels", "file"), "labels.file"),
        (("preprocessing",), "preprocessing"),
        (("preprocessing", "mean"), "preprocessing.mean"),
        (("source",), "source"),
        (("variants",), "variants"),
        (("variants", 0, "artifacts"), "variants[0].artifacts"),
        (("variants", 0, "mult_adds"), "variants[0].mult_adds"),
        (("variants", 0, "artifacts", 0, "size_bytes"), "variants[0].artifacts[0].size_bytes"),
        (("variants", 0, "artifacts", 0, "accuracy"), "variants[0].artifacts[0].accuracy"),
    ],
)
def test_what_is_missing_is_named(keys: tuple[Any, ...], name: str) -> None:
    assert complaint(without(*keys)) == f"Bundle manifest {PATH} lacks '{name}': write the bundle again."


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (at("name", value=5), "name is 5: expected text"),
        (at("created", value="\x1b[2J"), "expected printable text, got '\\x1b[2J'"),
        (at("classes", value=10**7), "there are more than 100000 classes, or labels of more than 16 MB"),
        (at("labels", "size_bytes", value=10**9), "there are more than 100000 classes, or labels of more than 16 MB"),
        (at("classes", value="5"), 'classes is "5": expected a whole number'),
        (at("classes", value=True), "classes is true: expected a whole number"),
        (at("classes", value=5.5), "classes is 5.5: expected a whole number"),
        (at("variants", 0, "mult_adds", value=-1), "mult_adds is -1: expected at least 0"),
        (at("variants", value=[]), "it has no variant"),
        (at("variants", 0, "artifacts", value=[]), "mobilenet_v1_1.00_224 has no file"),
        (at("variants", 1, "variant", value="mobilenet_v1_1.0_224"), "duplicate variant mobilenet_v1_1.00_224"),
        (
            at("variants", 0, "variant", value="resnet"),
            "'resnet' names no variant: expected mobilenet_v1_<α>_<ρ>, e.g. mobilenet_v1_0.50_160",
        ),
        (
            at("preprocessing", "resize", value="cubic"),
            'preprocessing.resize is "cubic": expected one of bilinear, halving, area',
        ),
        (at("preprocessing", "mean", value=[10**400] * 3), f"preprocessing.mean[0] is 1{'0' * 39}: expected a number"),
        (
            at("variants", 0, "artifacts", 0, "accuracy", "top1", value=70.9),
            "top1 70.9 is not a share between 0 and 1",
        ),
        (
            at("variants", 0, "artifacts", 0, "accuracy", "agreement", value="high"),
            'variants[0].artifacts[0].accuracy.agreement is "high": expected a number',
        ),
        (
            at("variants", 0, "artifacts", 0, "accuracy", "agreement", value=float("nan")),
            "agreement nan is not a share between 0 and 1",
        ),
        (at("labels", "size_bytes", value=10**400), "file 'labels.txt' has an impossible size or SHA-256"),
        (at("labels", "sha256", value="abc"), "file 'labels.txt' has an impossible size or SHA-256"),
        (at("labels", "sha256", value=5), "labels.sha256 is 5: expected text"),
        (
            at("variants", 0, "artifacts", 0, "accuracy", "agreement_range", value=[0.5]),
            "variants[0].artifacts[0].accuracy.agreement_range is [0.5]: expected a list of 2",
        ),
        (
            at("variants", 0, "artifacts", 0, "accuracy", "agreement_range", value=["a", "b"]),
            'variants[0].artifacts[0].accuracy.agreement_range[0] is "a": expected a number',
        ),
        (at("variants", 0, "variant", value="\x1b[2J"), 'variants[0].variant is "\\u001b[2J": expected printable text'),
        (at("labels", "\x9b", value=1), "unknown key 'labels.\\x9b'"),
        (at("labels", value="labels.txt"), 'labels is "labels.txt": expected an object'),
    ],
)
def test_what_is_impossible_is_described(change: Change, cause: str) -> None:
    assert complaint(change) == f"Bundle manifest {PATH} cannot be used: {cause}."


@pytest.mark.parametrize(
    "file", ["../labels.txt", "/etc/passwd", "models/../../x", "..", "", "..\\labels.txt", "C:\\labels.txt"]
)
def test_files_outside_the_bundle_are_refused(file: str) -> None:
    assert complaint(at("labels", "file", value=file)) == (
        f"Bundle manifest {PATH} cannot be used: file '{file}' would lie outside the bundle."
    )
    assert "would lie outside the bundle" in complaint(at("variants", 0, "artifacts", 0, "file", value=file))


@pytest.mark.parametrize("file", ["labels\0.txt", "\ud800", "a\nb"])
def test_names_that_no_file_can_have_are_refused(file: str) -> None:
    assert complaint(at("labels", "file", value=file)) == (
        f"Bundle manifest {PATH} cannot be used: invalid file name {file!r}."
    )


def test_names_have_one_spelling() -> None:
    for file in ("./labels.txt", "a//b", "a/./b", "a/"):
        assert "invalid file name" in complaint(at("labels", "file", value=file))


def test_two_files_do_not_overwrite_each_other() -> None:
    model = WHOLE["variants"][0]["artifacts"][0]["file"]
    for file, cause in (
        (model, f"two different files are named '{model}'"),
        (model.upper(), f"two different files are named '{model}'"),
        ("manifest.json", "two different files are named 'manifest.json'"),
        ("Manifest.SIG", "two different files are named 'Manifest.SIG'"),
        (f"{model}/labels.txt", f"'{model}' is both a file and a folder"),
    ):
        assert complaint(at("labels", "file", value=file)) == f"Bundle manifest {PATH} cannot be used: {cause}."


def test_one_file_may_serve_twice() -> None:
    values = json.loads(json.dumps(WHOLE))
    one, other = (values["variants"][n]["artifacts"][0] for n in (0, 1))
    other |= {key: one[key] for key in ("file", "size_bytes", "sha256")}
    assert len({entry.file for entry in read_manifest(values, PATH).files()}) == 3


def test_a_serial_is_kept_where_there_is_one() -> None:
    assert "serial" not in WHOLE
    assert read_manifest(WHOLE | {"serial": 7}, PATH).serial == 7
    assert make_manifest(serial=7).to_dict()["serial"] == 7
    assert (
        complaint(at("serial", value=-1))
        == f"Bundle manifest {PATH} cannot be used: serial is -1: expected at least 0."
    )


def test_files_may_lie_in_folders_below() -> None:
    assert FileEntry(file="models/a.tflite", size_bytes=0, sha256="0" * 64).file == "models/a.tflite"


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_an_accuracy_is_a_share(share: float) -> None:
    with pytest.raises(BundleError) as refused:
        Accuracy(agreement=share, pictures=1, measured_on="x")
    assert str(refused.value) == f"agreement {share} is not a share between 0 and 1"


@pytest.mark.parametrize("ends", [(0.9, 0.8), (0.5, 1.5), (-0.1, 0.5)])
def test_a_range_has_two_shares_in_order(ends: tuple[Any, ...]) -> None:
    with pytest.raises(BundleError) as refused:
        Accuracy(agreement=0.9, pictures=1, measured_on="x", agreement_range=ends)
    assert str(refused.value) == f"agreement_range {ends} is not a range of shares between 0 and 1"


@given(damaged(WHOLE))
def test_a_damaged_manifest_is_a_manifest_or_a_bundle_error(values: dict[str, Any]) -> None:
    try:
        manifest = read_manifest(values, PATH)
    except BundleError as refused:
        assert str(refused).startswith(f"Bundle manifest {PATH} ")
    else:
        assert isinstance(manifest, Manifest)
        assert all(isinstance(entry.variant, Variant) for entry in manifest.variants)


@given(st.dictionaries(st.text(), st.integers()))
def test_any_object_is_a_manifest_or_a_bundle_error(values: dict[str, Any]) -> None:
    with pytest.raises(BundleError):
        read_manifest(values, PATH)
