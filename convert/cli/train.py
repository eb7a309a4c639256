"""``edge-convert train``: your own classes, one network or the whole family."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from convert.cli.options import AsJson, Resizing
from edge.bundles.variant import ALPHAS, Variant
from edge.console import note, progress_bar, stdout, table, write_json
from edge.errors import OutputError, VariantError

if TYPE_CHECKING:  # torch is imported by the commands that need it: --help must not wait for it
    from convert.data.dataset import DataSet
    from convert.training.job import Job
    from convert.training.run import Schedule

__all__ = ["train"]


def train(
    data: Annotated[Path, typer.Argument(help="A folder for each class, or a CSV of path, label and perhaps split.")],
    out: Annotated[Path, typer.Option(help="Folder for the checkpoints.")],
    single: Annotated[float | None, typer.Option(help="Train one α alone; default: all in one set of weights.")] = None,
    resolutions: Annotated[str, typer.Option(help="Every ρ, separated by commas.")] = "224,192,160,128",
    start: Annotated[Path | None, typer.Option("--from", help="Begin with a checkpoint's weights.")] = None,
    teacher: Annotated[Path | None, typer.Option(help="Learn from a checkpoint's answers, too.")] = None,
    teacher_weight: Annotated[float, typer.Option(min=0.0, max=1.0, help="How much they count.")] = 0.5,
    epochs: Annotated[float, typer.Option(min=0.01, help="How often each picture is met.")] = 60.0,
    batch: Annotated[int, typer.Option(min=2, help="Pictures per step, of all processes together.")] = 64,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 4e-3,
    seed: Annotated[int, typer.Option(help="Other seeds give other weights.")] = 1,
    hold_back: Annotated[float, typer.Option(min=0.01, max=0.9, help="Part to measure on, if no split is made.")] = 0.2,
    flips: Annotated[
        bool, typer.Option("--flips/--no-flips", help="Mirror pictures: not for letters or signs.")
    ] = True,
    resize: Resizing = "bilinear",
    patience: Annotated[int | None, typer.Option(min=1, help="Stop after so many of 20 checks without gain.")] = None,
    precision: Annotated[Literal["fp32", "bf16"], typer.Option(help="bf16 is for GPUs.")] = "fp32",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Threads that read pictures.")] = 2,
    save_every: Annotated[float, typer.Option(min=0.0, help="Seconds between states to resume from.")] = 60.0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run stopped.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Begin anew in a folder that is in use.")] = False,
    estimate: Annotated[bool, typer.Option("--estimate", help="Say what it takes, and stop.")] = False,
    tensorboard: Annotated[Path | None, typer.Option(help="Folder for TensorBoard's events, too.")] = None,
    json: AsJson = False,
) -> None:
    """Train on your own pictures; write a checkpoint for each α, good at every ρ.

    Example: edge-convert train photos --out checkpoints --from mobilenet_1_0_224_tf.h5
    """
    from convert.checkpoints import load_checkpoint
    from convert.data.dataset import read_dataset
    from convert.training.distributed import device_of, joined
    from convert.training.image_dataset import Augmentation
    from convert.training.job import Job
    from convert.training.plan import Plan
    from convert.training.recipe import Recipe
    from convert.training.run import Schedule

    alphas = ALPHAS if single is None else (single,)
    sides = _resolutions(resolutions, alphas)
    _check_place(out, data, resume=resume, force=force)
    dataset = read_dataset(data, hold_back)
    plan = Plan(
        dataset=dataset,
        alphas=alphas,
        resolutions=sides,
        recipe=Recipe(
            steps=max(1, round(epochs * len(dataset.train) / batch)),
            batch=batch,
            peak_rate=rate,
            precision=precision,
            seed=seed,
        ),
        augmentation=Augmentation.for_width(max(alphas), flips=flips),
        resize=resize,
        start=load_checkpoint(start) if start else None,
        teacher=load_checkpoint(teacher) if teacher else None,
        teacher_weight=teacher_weight,
    )
    place = device_of(device)
    with joined(place) as share:
        job = Job(plan, out, device=place, share=share, workers=workers)
        _tell(job, dataset, is_silent=share.rank > 0)
        if estimate:
            return
        out.mkdir(parents=True, exist_ok=True)
        schedule = Schedule(check_every=max(10, plan.recipe.steps // 20), save_every_s=save_every, patience=patience)
        found = _run(job, schedule, resume, tensorboard)
    if found and json:
        write_json({variant.name: top1 for variant, top1 in found.items()})
    elif found:
        _print(found, out, len(dataset.validation))


def _run(job: Job, schedule: Schedule, resume: bool, tensorboard: Path | None) -> dict[Variant, float]:
    with progress_bar("training") as progress:
        found = job.run(schedule, resume=resume, tensorboard=tensorboard, progress=progress, warn=note)
    if job.unreadable:
        note(f"{len(job.unreadable)} pictures were passed over. The first: {job.unreadable[0]}")
    return found


def _tell(job: Job, dataset: DataSet, *, is_silent: bool) -> None:
    from convert.training.run import in_hours

    guess = job.estimate()
    if not is_silent:
        note(
            f"{len(dataset.train)} pictures of {len(dataset.labels)} classes to learn from, {len(dataset.validation)} "
            f"to measure on; about {in_hours(guess.seconds)} and {guess.memory_mb / 1000:.1f} GB"
        )


def _resolutions(text: str, alphas: tuple[float, ...]) -> tuple[int, ...]:
    try:
        sides = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError as reason:
        raise VariantError(f"Resolutions '{text}' are not numbers: expected e.g. 224,192,160,128.") from reason
    for side in sides:
        Variant(alphas[0], side)
    return sides


def _check_place(out: Path, data: Path, *, resume: bool, force: bool) -> None:
    """Refuse a folder in use, before work is spent on what shall lie there."""
    from convert.training.state import STATE

    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: expected a folder, or a name that is free.")
    if out.is_dir() and any(out.iterdir()) and not (resume or force):
        way_on = "go on with --resume, " if (out / STATE).is_file() else ""
        raise OutputError(f"{out} is in use: {way_on}begin anew with --force, or choose another name.")
    if out.resolve() == data.resolve():
        raise OutputError(f"{out} holds the pictures: choose another folder for the checkpoints.")


def _print(found: dict[Variant, float], out: Path, pictures: int) -> None:
    sides = list(dict.fromkeys(variant.resolution for variant in found))
    made = table(f"top-1 on {pictures} held-back pictures, %", "α", *map(str, sides))
    for alpha in dict.fromkeys(variant.alpha for variant in found):
        made.add_row(f"{alpha:g}", *(f"{100 * found[Variant(alpha, side)]:.1f}" for side in sides))
    stdout().print(made)
    stdout().print(
        f"{out}: a checkpoint for each α, labels.txt, splits.csv, metrics.csv, training.json", soft_wrap=True
    )
