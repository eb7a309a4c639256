"""The demo's pictures, training and clip, in small."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from convert.checkpoints import load_checkpoint
from convert.errors import TrainingError
from convert.pipeline.golden import add_golden
from convert.training.recipe import Recipe
from convert.training.results import checkpoint_name
from edge.bundles.bundle import open_bundle
from edge.bundles.variant import ALPHAS, RESOLUTIONS, Variant
from edge.inference.backends.litert import LiteRTBackend
from edge.inference.classifier import Classifier
from edge.inference.selftest import self_test
from edge.inference.tflite_metadata import read_metadata
from scripts.demo import clip, make
from scripts.demo.cards import LABELS, NO_CARD, Pose, draw_labelled, draw_picture, place
from scripts.demo.head import refit
from scripts.demo.ink import INK_SIDE, Handwriting, load_handwriting, print_digit, write_digit
from scripts.demo.pictures import Cards, held_out_pictures
from scripts.demo.strokes import FORMS
from scripts.demo.tail import before_tail, read_tail, with_tail
from scripts.demo.things import draw_things
from scripts.demo.train import recipe_for, train
from tests.edge.small_demo import write_small_demo


@pytest.fixture(scope="module")
def handwriting() -> Handwriting:
    return load_handwriting("train")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny batches are slower on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_same_seed_draws_the_same_picture_and_another_seed_another(handwriting: Handwriting) -> None:
    first, again, other = (draw_labelled(rng(seed), handwriting, 7) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("label", range(len(LABELS)))
@pytest.mark.parametrize("side", [128, 256])
def test_a_picture_is_a_square_frame(handwriting: Handwriting, label: int, side: int) -> None:
    frame = draw_labelled(rng(label), handwriting, label, side)
    assert frame.shape == (side, side, 3)
    assert frame.dtype == np.uint8


def test_hardness_0_draws_too() -> None:
    assert draw_picture(rng(), write_digit(rng(), 3), hardness=0.0).shape == (256, 256, 3)


@pytest.mark.parametrize("digit", range(10))
def test_every_digit_is_written_and_printed_inside_its_square(handwriting: Handwriting, digit: int) -> None:
    for ink in (write_digit(rng(digit), digit), print_digit(rng(digit), digit), handwriting.draw(rng(digit), digit)):
        assert ink.shape == (INK_SIDE, INK_SIDE)
        assert 0.02 < (ink > 127).mean() < 0.6


def test_every_digit_has_several_forms() -> None:
    assert len(FORMS) == 10
    assert all(len(forms) >= 2 for forms in FORMS)


def test_training_and_held_out_digits_share_nothing_and_cover_the_set(handwriting: Handwriting) -> None:
    held_out = load_handwriting("held-out")
    assert not set(handwriting.indices) & set(held_out.indices)
    assert len(handwriting.indices) + len(held_out.indices) == 1797
    shares = np.bincount(held_out.digits) / np.bincount(handwriting.digits)
    assert np.allclose(shares, 0.25, atol=0.02)


def test_a_card_out_of_sight_changes_nothing() -> None:
    frame = np.full((100, 100, 3), 90, np.uint8)
    place(frame, np.zeros((50, 50, 3), np.uint8), Pose(x=5, y=0, height=0.5, angle=0))
    assert (frame == 90).all()


def test_a_card_covers_where_it_is_held() -> None:
    frame = np.full((100, 100, 3), 90, np.uint8)
    place(frame, np.full((50, 50, 3), 250, np.uint8), Pose(x=0, y=0, height=0.5, angle=0), shadow=(0, 0, 0))
    assert (frame[30:70, 30:70] == 250).all()
    assert (frame[:20] == 90).all()


def test_the_test_has_as_many_pictures_of_each_class() -> None:
    frames, labels = held_out_pictures(2)
    assert len(frames) == 2 * len(LABELS)
    assert (np.bincount(labels) == 2).all()


def test_a_number_always_draws_the_same_card(handwriting: Handwriting) -> None:
    cards, again = (Cards(hard_from=100, handwriting=handwriting) for _ in range(2))
    for number in (3, 200):
        frame, label = cards.example(number)
        assert label == number % 12 if number % 12 < NO_CARD else label == NO_CARD
        assert np.array_equal(frame, again.example(number)[0])
    assert not np.array_equal(cards.example(3)[0], cards.example(15)[0])
    assert not np.array_equal(cards.example(3)[0], Cards(seed=2, hard_from=100).example(3)[0])


def test_things_come_after_each_round_of_the_classes(handwriting: Handwriting) -> None:
    cards = Cards(handwriting=handwriting, things=3)
    assert [cards.example(number)[1] for number in range(15)] == [*range(10), *[NO_CARD] * 5]
    assert not np.array_equal(cards.example(12)[0], cards.example(13)[0])


def test_a_file_s_last_layers_are_written_back_as_they_were_read(tmp_path: Path) -> None:
    bundle = open_bundle("demo")
    path = bundle.path(bundle.find(Variant(0.25, 128)).artifacts[0].file)
    layers = read_tail(path, 12)
    assert [layer.name for layer in layers] == [f"block{n}/{k}wise" for n in (12, 13) for k in ("depth", "point")]
    (tmp_path / "same.tflite").write_bytes(with_tail(path, layers))
    (tmp_path / "cut.tflite").write_bytes(before_tail(path, 12))
    again = read_tail(tmp_path / "same.tflite", 12)
    for one, other in zip(layers, again, strict=True):
        assert np.allclose(one.weight, other.weight, atol=0.01) and np.allclose(one.bias, other.bias, atol=1e-3)
    backends = [LiteRTBackend(file, 1) for file in (path, tmp_path / "same.tflite", tmp_path / "cut.tflite")]
    picture = rng(3).integers(-128, 128, (1, 128, 128, 3), np.int8)
    for backend in backends:
        backend.input()[...] = picture
    answer, same, seen = (backend.infer().copy() for backend in backends)
    assert np.array_equal(answer, same) and seen.shape == (1, 8, 8, 128)


def test_every_class_comes_in_turn_and_no_card_twice(handwriting: Handwriting) -> None:
    cards = Cards(handwriting=handwriting, small_until=12)
    labels = [cards.example(number)[1] for number in range(12)]
    assert sorted(labels) == [*range(len(LABELS)), NO_CARD]
    assert cards.classes == len(LABELS)


def test_small_pictures_come_first(handwriting: Handwriting) -> None:
    cards = Cards(handwriting=handwriting, small_until=2)
    assert [cards.example(number)[0].shape[0] for number in (0, 1, 2)] == [128, 128, 256]


@pytest.fixture(scope="module")
def tiny() -> Recipe:
    return replace(recipe_for(1 / 2700), batch=2, growth=((1.0, 0.2),))


@dataclass(frozen=True)
class Trained:
    """The folder of a run, and what it reported."""

    folder: Path
    told: list[str]


@pytest.fixture(scope="module")
def trained(tiny: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    run = Trained(tmp_path_factory.mktemp("trained"), [])
    train(tiny, run.folder, report=run.told.append, every=1, recalibration=4, per_class=1)
    return run


def test_training_writes_every_width_with_the_statistics_of_every_resolution(trained: Trained) -> None:
    assert [path.name for path in sorted(trained.folder.glob("*.safetensors"))] == [
        checkpoint_name(a) for a in sorted(ALPHAS)
    ]
    checkpoint = load_checkpoint(trained.folder / checkpoint_name(0.25))
    small, large = (checkpoint.at(side).state_dict()["stem.bn.running_mean"] for side in (128, 224))
    assert not torch.equal(small, large)
    assert sum("_224: " in line for line in trained.told) == 4


def test_training_goes_on_from_its_state(trained: Trained, tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sum(line.startswith("step ") for line in trained.told) == tiny.steps
    again = list[str]()
    monkeypatch.setattr("scripts.demo.train.write_checkpoints", lambda *_: {})
    train(tiny, trained.folder, report=again.append, every=1, recalibration=2, per_class=1)
    assert not again, "every step is done"
    with pytest.raises(TrainingError, match="other settings"):
        train(replace(tiny, peak_rate=1e-3), trained.folder, recalibration=2, per_class=1)


def test_a_state_of_another_recipe_is_one_line_and_force_starts_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--work", str(tmp_path), "--steps", "train"]
    with monkeypatch.context() as patch:
        patch.setattr(make, "train", lambda recipe, folder, **_: shutil.copytree(trained.folder, folder))
        assert make.main(asked) == 0
    assert make.main(asked) != 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("make-demo: ") and "other settings" in line and "--force" in line
    started = list[Path]()
    monkeypatch.setattr(make, "train", lambda recipe, folder, **_: started.append(folder))
    assert make.main([*asked, "--force"]) == 0
    assert started and not (started[0] / "state.pt").exists()


def test_the_recipe_ends_at_the_family_s_own_resolutions() -> None:
    recipe = recipe_for()
    assert [recipe.scaled(side, recipe.steps - 1) for side in RESOLUTIONS] == list(RESOLUTIONS)
    assert recipe.scaled(224, 0) < 128


def test_folders_hold_the_pictures_the_bundle_step_reads(tmp_path: Path) -> None:
    make.write_labels(tmp_path / "labels.txt")
    make.write_calibration(tmp_path / "calibration", count=5)
    make.write_test(tmp_path / "test", per_class=1)
    assert (tmp_path / "labels.txt").read_text().splitlines() == list(LABELS)
    assert len(list((tmp_path / "calibration").glob("*.jpg"))) == 5
    folders = sorted(folder.name for folder in (tmp_path / "test").iterdir())
    assert folders == sorted(label.replace(" ", "_") for label in LABELS)
    assert len(list((tmp_path / "test" / "no_card").glob("*.jpg"))) == 1


def test_the_bundle_step_hands_over_every_checkpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr("subprocess.run", run)
    assert make.main(["--work", str(tmp_path), "--steps", "bundle"]) == 3
    assert [Path(word).name for word in commands[0] if word.endswith("safetensors")] == [
        "mobilenet_v1_0.50.safetensors",
        "mobilenet_v1_0.25.safetensors",
    ]


def test_things_are_drawn_the_same_each_time_and_differ() -> None:
    first, again, other = (draw_things(rng(seed)) for seed in (1, 1, 2))
    assert first.shape == (256, 256, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_the_last_layers_are_fitted_in_a_bundle_as_it_stands(tmp_path: Path) -> None:
    write_small_demo(tmp_path / "demo")
    before = open_bundle(tmp_path / "demo")
    refit(before, pictures=48, strangers=12, per_class=4)
    add_golden(open_bundle(tmp_path / "demo"), [draw_things(rng(seed)) for seed in range(3)])
    after = open_bundle(tmp_path / "demo")
    assert [entry.variant for entry in after.variants] == [entry.variant for entry in before.variants]
    for entry, old in zip(after.variants, before.variants, strict=True):
        (file,), (other,) = entry.artifacts, old.artifacts
        assert file.sha256 != other.sha256 and file.confidence and file.accuracy.top1
        assert 0 < file.confidence.unknown_below <= 1 and file.confidence.nothing == 12
        assert file.confidence.temperature and file.accuracy.top1 > 0.7
        assert abs(file.size_bytes - other.size_bytes) < 4096
        told = read_metadata(after.path(file.file))
        assert (told.author, told.license, told.labels) == ("mobilenet-edge", "Apache-2.0", LABELS)
    assert self_test(after, Classifier(after, after.variants[0].variant, threads=1))


def test_the_shipped_clip_reads_back_as_its_truth_says() -> None:
    folder = make.ROOT / make.CLIPS
    truth = json.loads((folder / "digits.json").read_text())
    capture = cv2.VideoCapture(str(folder / "digits.mp4"))
    frames = 0
    while capture.grab():
        frames += 1
    assert frames == truth["frames"]
    assert capture.get(cv2.CAP_PROP_FPS) == truth["fps"]
    assert (folder / "digits.mp4").stat().st_size < 1_000_000
    assert truth["segments"][-1]["last"] == frames - 1
    assert [segment["label"] for segment in truth["segments"]] == [
        "no card",
        *(LABELS[digit] for digit in clip.DIGITS),
        "no card",
    ]


def test_the_clip_shows_a_card_only_where_the_truth_says() -> None:
    frames = list(clip.draw_clip())
    segments = clip.segments()
    empty, held = frames[segments[0].last], frames[segments[1].first + 2]
    assert frames[0].shape == (480, 640, 3)
    assert np.abs(held.astype(int) - empty.astype(int))[120:360, 200:440].mean() > 15
