"""The demo's pictures, training and clip, in small."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from scripts.demo import clip, make
from scripts.demo.cards import LABELS, NO_CARD, Pose, draw_labelled, draw_picture, place
from scripts.demo.ink import INK_SIDE, Handwriting, load_handwriting, print_digit, write_digit
from scripts.demo.pool import Pool, inputs
from scripts.demo.strokes import FORMS
from scripts.demo.train import Phase, Plan, held_out_pictures, learn, new_model, plan_for, settle, train


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


def test_a_pool_keeps_the_latest_pictures_with_their_labels(handwriting: Handwriting) -> None:
    pool = Pool(rng(), handwriting, size=15, side=64)
    pool.renew(40)
    frames, labels = pool.batch(200)
    assert len(frames) == 200
    assert set(labels) == set(range(len(LABELS)))
    assert pool.drawn_at(64) is pool
    assert pool.drawn_at(96).drawn == 0


def test_inputs_are_what_the_device_computes(handwriting: Handwriting) -> None:
    frame = draw_labelled(rng(), handwriting, NO_CARD)
    seen = inputs([frame], 128)
    assert seen.shape == (1, 3, 128, 128)
    assert seen.dtype == torch.float32
    area = cv2.resize(frame, (128, 128), interpolation=cv2.INTER_AREA)[..., ::-1]
    assert np.allclose(seen[0].permute(1, 2, 0).numpy(), area / 127.5 - 1, atol=1e-6)


def test_steps_on_a_tiny_batch_lower_the_loss(handwriting: Handwriting) -> None:
    torch.manual_seed(0)
    model, pool = new_model(0.25), Pool(rng(), handwriting, size=11, side=64)
    pool.renew(11, hardness=0.0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    losses = [learn(model, optimizer, pool, 22, 64, 0.0) for _ in range(20)]
    assert np.mean(losses[-3:]) < losses[0] - 0.2


def test_training_is_repeatable_and_settles_batch_norm() -> None:
    plan = Plan(alpha=0.25, phases=(Phase(2, (64,), 11, side=64), Phase(1, (32, 64), 11, side=96)), pool=22, fixed=1)
    first, again = train(plan, settling=1).state_dict(), train(plan, settling=1).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert first["stem.bn.running_mean"].abs().sum() > 0


def test_settling_forgets_the_former_statistics(handwriting: Handwriting) -> None:
    model, pool = new_model(0.25), Pool(rng(), handwriting, size=4, side=64)
    pool.renew(4)
    means = model.state_dict()["stem.bn.running_mean"]
    means.fill_(1e6)
    settle(model, pool, rounds=1)
    assert means.abs().max() < 10


def test_the_plan_ends_at_the_resolutions_of_the_family() -> None:
    plan = plan_for(0.5, effort=0.1)
    assert set(plan.phases[-1].resolutions) == {224, 192, 160, 128}
    assert plan.steps == sum(phase.steps for phase in plan.phases)


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
        "digits_0.25.safetensors",
        "digits_0.50.safetensors",
    ]


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
