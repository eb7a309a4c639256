"""Everyday things: the hosted networks are fetched, examined, kept to what they were, and installed as a bundle."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import pytest

import camera_demo
import edge
from convert.export.tflite import to_tflite
from convert.model import ModelConfig
from convert.quantization import equalize, fold, quantize, synthetic_images
from edge.bundles.variant import Variant
from edge.errors import DownloadError, VariantError, WrongFileError
from edge.updates.download import Limits
from edge.updates.hosted import DEFAULT_VARIANTS, LOCK, MIRROR, PUBLISHED_TOP1, fetch_bundle
from edge.updates.install import Activation
from edge.vision.preprocess import Preprocessing
from tests.conftest import draw
from tests.convert.conftest import lively
from tests.edge.file_server import (
    Behave,
    FileServer,
    answer_by_path,
    cut_after,
    honest,
    moved,
    says,
    serving,
    stalls_after,
)

FAST = Limits(timeout_s=0.3, tries=3, pause_s=0.0, gain_bytes=1)
SMALL, LARGER = Variant(0.25, 128), Variant(0.25, 160)
MODELS = "/download.tensorflow.org/models/mobilenet_v1_2018_08_02/mobilenet_v1_0.25_{}_quant.tgz"
CLASSES = "/download.tensorflow.org/data/imagenet_class_index.json"


def tgz(name: str, content: bytes) -> bytes:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:gz") as archive:
        for member, data in (("./eval.pbtxt", b"graph"), (name, content)):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return memory.getvalue()


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """What the host has, by path: α = .25 at two resolutions with 1001 classes, uint8 as Google's, and the classes."""
    network = fold(lively(ModelConfig(alpha=0.25, classes=1001)))
    found = {CLASSES: json.dumps({str(n): [f"n{n:08}", f"class_{n}"] for n in range(1000)}).encode()}
    for side in (128, 160):
        pixels = synthetic_images(4, side)
        quantized = quantize(equalize(network, pixels, Preprocessing()), pixels, Preprocessing())
        content = to_tflite(quantized, io="uint8")
        found[MODELS.format(side)] = tgz(f"./mobilenet_v1_0.25_{side}_quant.tflite", content)
    return found


class Host(NamedTuple):
    """A mirror at work, and where to fetch and install."""

    server: FileServer
    files: dict[str, bytes]
    folder: Path

    def fetch(self, *variants: Variant) -> Activation:
        environment = {MIRROR: f"http://127.0.0.1:{self.server.server_address[1]}"}
        cache, folder = self.folder / "cache", self.folder / "bundles"
        return fetch_bundle(variants or (SMALL,), cache=cache, folder=folder, limits=FAST, environment=environment)

    def answers(self, *behaviours: Behave) -> None:
        """The next requests, each for the file that it names."""
        answer_by_path(self.server, self.files, *behaviours)


@pytest.fixture
def host(files: dict[str, bytes], tmp_path: Path) -> Iterator[Host]:
    with serving(b"") as server:
        host = Host(server, dict(files), tmp_path)
        host.answers()
        yield host


def test_the_bundle_is_installed_with_published_figures_and_answers(host: Host) -> None:
    made = host.fetch(SMALL, LARGER)
    bundle = made.bundle
    assert (bundle.name, made.tested, len(bundle.labels)) == ("imagenet", 2, 1001)
    assert bundle.labels[:3] == ("background", "class 0", "class 1")
    assert {entry.variant: entry.artifacts[0].accuracy.top1 for entry in bundle.variants} == {
        SMALL: 0.395,
        LARGER: 0.428,
    }
    assert {entry.artifacts[0].accuracy.measured_on for entry in bundle.variants} == {"published"}
    with edge.Classifier(bundle, SMALL) as classifier:
        assert len(classifier.probabilities(edge.read_image(bundle.path("golden/0.png")))) == 1001


def test_the_bundle_answers_live_and_learns_other_things(host: Host) -> None:
    bundle = host.fetch().bundle
    live = list(camera_demo.answers("demo", bundle=bundle.root, variant=str(SMALL), threads=1))
    assert len(live) > 50 and {answer.variant for answer in live} == {SMALL.name}
    for number in range(6):
        folder = host.folder / "things" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{chr(97 + number)}.png"), draw(number))
    taught = edge.teach(host.folder / "things", host.folder / "taught", bundle=bundle, threads=1)
    assert taught.bundle.labels == ("a", "b") and not any("classes only" in note for note in taught.notes)


def test_what_is_here_is_not_fetched_again(host: Host) -> None:
    host.fetch()
    count = len(host.server.requests)
    host.fetch()
    assert len(host.server.requests) == count == 2


@pytest.mark.parametrize("behave", [cut_after(3000), says(503)])
def test_a_server_that_truncates_or_is_busy_is_asked_again(host: Host, behave: Behave) -> None:
    host.answers(honest, behave)
    assert host.fetch().bundle.name == "imagenet"


def test_a_server_that_stalls_is_asked_again(host: Host) -> None:
    release = threading.Event()
    host.answers(honest, stalls_after(2000, release))
    assert host.fetch().bundle.name == "imagenet"
    release.set()


def test_a_redirect_on_this_machine_is_followed(host: Host) -> None:
    port = host.server.server_address[1]
    host.answers(honest, moved(f"http://127.0.0.1:{port}{MODELS.format(128)}"))
    assert host.fetch().bundle.name == "imagenet"


def test_another_file_than_the_first_time_is_refused_and_the_bundle_stays(host: Host) -> None:
    before = host.fetch().bundle.root
    for file in (host.folder / "cache").glob("*.tgz"):
        file.unlink()
    host.files[MODELS.format(128)] = host.files[MODELS.format(160)]
    with pytest.raises(WrongFileError, match=f"{LOCK} has it from when it was first fetched"):
        host.fetch()
    assert edge.open_bundle(before).name == "imagenet"


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"<html>sign in</html>", "it is not a .tgz archive"),
        (tgz("./readme.txt", b"hello"), "there is no .tflite file in it"),
        (tgz("./model.tflite", b"hello, world"), "is not a TensorFlow Lite model"),
    ],
)
def test_what_is_not_the_network_is_not_kept(host: Host, content: bytes, cause: str) -> None:
    host.files[MODELS.format(128)] = content
    with pytest.raises(DownloadError, match=f"is not the file of that name, and was not kept: .*{cause}"):
        host.fetch()
    assert not list((host.folder / "cache").glob("*.t[gf]*"))
    assert not (host.folder / "bundles").exists()


def test_the_network_of_another_variant_is_refused(host: Host) -> None:
    host.files[MODELS.format(128)] = host.files[MODELS.format(160)]
    with pytest.raises(DownloadError, match=r"it holds mobilenet_v1_0\.25_160 of 1001 classes"):
        host.fetch()


def test_classes_that_are_none_are_refused(host: Host) -> None:
    host.files[CLASSES] = b'{"0": ["n1", "tench"]}'
    with pytest.raises(DownloadError, match="is not ImageNet's: expected classes 0 to 999"):
        host.fetch()


def test_only_published_variants_are_known(host: Host) -> None:
    with pytest.raises(VariantError, match=r"No hosted model mobilenet_v1_0\.35_96"):
        host.fetch(Variant(0.35, 96))
    assert set(DEFAULT_VARIANTS) <= set(PUBLISHED_TOP1) and len(PUBLISHED_TOP1) == 16


def test_a_missing_bundle_names_the_line_that_fetches_it() -> None:
    with pytest.raises(edge.BundleError, match=r"Fetch it: edge bundle fetch imagenet$"):
        edge.open_bundle("imagenet")
