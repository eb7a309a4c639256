"""What ships: the demo bundle and the clip, and that the one understands the other."""

import itertools
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import edge
from edge.bundles.bundle import Bundle, open_bundle, shipped_bundles
from edge.bundles.variant import Variant
from edge.inference.tflite_metadata import read_metadata
from edge.vision.images import image_files, read_image

ROOT = Path(__file__).resolve().parents[1]
CLIPS = ROOT / "camera_demo/clips"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return open_bundle("demo")


def test_the_demo_is_the_bundle_that_ships() -> None:
    assert shipped_bundles() == ("demo",)


def test_it_has_two_widths_at_four_resolutions(bundle: Bundle) -> None:
    wanted = {Variant(a, r) for a, r in itertools.product((0.25, 0.5), (128, 160, 192, 224))}
    assert {entry.variant for entry in bundle.variants} >= wanted


def test_it_is_small_enough_to_ship(bundle: Bundle) -> None:
    assert sum(path.stat().st_size for path in bundle.root.iterdir()) < 6_000_000
    assert sum(path.stat().st_size for path in CLIPS.iterdir()) < 1_000_000


def test_every_variant_was_measured_on_labelled_pictures(bundle: Bundle) -> None:
    for entry in bundle.variants:
        accuracy = entry.artifacts[0].accuracy
        assert accuracy.labelled >= 1000 and accuracy.top1 is not None
        assert accuracy.top1 >= 0.92, entry.variant.name


def test_every_variant_is_calibrated_and_knows_what_is_unknown(bundle: Bundle) -> None:
    for entry in bundle.variants:
        confidence = entry.artifacts[0].confidence
        assert confidence is not None and confidence.error is not None and confidence.error_by_chance is not None
        assert confidence.error <= confidence.error_by_chance + 0.015, entry.variant.name
        assert confidence.false_alarms is not None and confidence.false_alarms <= 0.02
        assert confidence.known_kept >= 0.8, entry.variant.name


def test_every_file_says_whose_it_is_and_under_which_licence(bundle: Bundle) -> None:
    for entry in bundle.variants:
        told = read_metadata(bundle.path(entry.artifacts[0].file))
        assert (told.author, told.license, told.labels) == ("mobilenet-edge", "Apache-2.0", bundle.labels)


def test_real_photos_of_objects_are_unknown_or_no_card(shared_data: Path, bundle: Bundle) -> None:
    """By every variant that ships: what was asked of the demo."""
    photos = [read_image(path) for path in image_files(shared_data / "photos")]
    assert len(photos) == 231
    for entry in bundle.variants:
        with edge.Classifier(bundle, entry.variant, threads=1) as classifier:
            labels = [classifier.classify(photo).label for photo in photos]
        assert sum(label not in ("unknown", "no card") for label in labels) <= 2, entry.variant.name


@pytest.mark.parametrize("variant", ["0.25_128", "0.50_224"])
def test_the_live_demo_reads_every_card_of_the_clip(variant: str) -> None:
    command = [sys.executable, "-m", "camera_demo", "demo", "json:-", "--variant", variant, "--threads", "1"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    answers = map(json.loads, told.splitlines())
    best = ["unknown" if answer["unknown"] else answer["labels"][0]["label"] for answer in answers]
    truth = json.loads((CLIPS / "digits.json").read_text())
    assert len(best) == truth["frames"]
    for segment in truth["segments"]:
        shown = best[segment["first"] : segment["last"] + 1]
        assert Counter(shown).most_common(1)[0][0] == segment["label"], segment
