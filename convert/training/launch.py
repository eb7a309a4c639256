"""Train from a folder of pictures to a folder of checkpoints, in one call."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from convert.checkpoints import load_checkpoint
from convert.data.dataset import DataSet, read_dataset
from convert.data.image_sets import MOST_TO_MEASURE, at_most, read_pictures
from convert.errors import FolderInUseError, UnfinishedRunError
from convert.options import TrainingOptions
from convert.pipeline.confidence import evaluation_of
from convert.pipeline.inputs import AnyCheckpoint, loaded
from convert.pipeline.verification import float_answers
from convert.quantization import fold, folded_recipe
from convert.training.distributed import device_of, joined
from convert.training.estimate import Estimate
from convert.training.image_dataset import Augmentation
from convert.training.job import BEGUN, Job
from convert.training.plan import Plan
from convert.training.recipe import Recipe
from convert.training.results import CHECKPOINT_ENDING, checkpoint_name
from convert.training.run import Schedule, in_hours
from convert.training.state import STATE
from edge.bundles.variant import ALPHAS, RESOLUTIONS, Variant
from edge.errors import OutputError
from edge.evaluation.result import Evaluation
from edge.files import check_free, writing
from edge.paths import AnyPath
from edge.progress import Progress, no_progress
from edge.unfinished import folder_made

__all__ = ["TrainingResult", "estimate_training", "train"]

_CHECKS = 20
"""Measurements of accuracy in a run."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """What a training gave."""

    top1: dict[Variant, float]
    """Accuracy of each variant on the held-back pictures, 0 to 1; empty in processes other than the first."""
    dataset: DataSet
    """Which picture was learned from, and which was held back."""
    evaluation: Evaluation | None = None
    """How each class did on the held-back pictures, in the widest network at the highest resolution."""


def train(
    data: AnyPath,
    out: AnyPath,
    *,
    alphas: Sequence[float] = ALPHAS,
    resolutions: Sequence[int] = RESOLUTIONS,
    start: AnyCheckpoint | None = None,
    teacher: AnyCheckpoint | None = None,
    options: TrainingOptions = TrainingOptions(),
    resume: bool = False,
    replace: bool = False,
    progress: Progress = no_progress,
) -> TrainingResult:
    """Train on pictures, and write a checkpoint for each α, good at every ρ.

    Args:
        data: A folder with a folder for each class; or with such folders in ``train`` and ``val``, ``test``; or a CSV
            file of path, label and perhaps split.
        out: Folder for the checkpoints, labels, splits, figures and the report.
        alphas: Every α; one alone is trained by itself, several share one set of weights.
        resolutions: Every ρ.
        start: Weights to begin with, of the widest α.
        teacher: A trained network of the same classes to learn from, too.
        options: How to train.
        resume: Continue a run that stopped.
        replace: Whether to start from scratch in a folder that is in use.
        progress: Called as the work goes on.

    Raises:
        FolderInUseError: ``out`` is not empty.
        TrainingError: The pictures or settings cannot be learned from.
        DivergedError: The loss is not a number any more.
    """
    out = Path(out)
    _check_folder(out, Path(data), resume=resume, replace=replace)
    with _prepared(data, out, alphas, resolutions, start, teacher, options, progress) as job:
        _estimated(job, progress)
        schedule = Schedule(
            check_every=max(10, job.plan.recipe.steps // _CHECKS),
            save_every_s=options.save_every,
            patience=options.patience,
        )
        with contextlib.ExitStack() as opened:
            with writing(out):
                opened.enter_context(folder_made(out))
            if job.is_first:
                opened.enter_context(_nothing_without_state(out))
            top1 = job.run(schedule, resume=resume, tensorboard=options.tensorboard, progress=progress)
        if job.unreadable:
            _log.warning("%d pictures were passed over. The first: %s", len(job.unreadable), job.unreadable[0])
        evaluation = _evaluation(out, job.plan) if top1 else None
        return TrainingResult(top1=top1, dataset=job.plan.dataset, evaluation=evaluation)


def estimate_training(
    data: AnyPath,
    *,
    alphas: Sequence[float] = ALPHAS,
    resolutions: Sequence[int] = RESOLUTIONS,
    start: AnyCheckpoint | None = None,
    teacher: AnyCheckpoint | None = None,
    options: TrainingOptions = TrainingOptions(),
    progress: Progress = no_progress,
) -> Estimate:
    """Time and memory that :func:`train` would take, measured on a few steps of it; the arguments are the same."""
    with _prepared(data, Path(), alphas, resolutions, start, teacher, options, progress) as job:
        return _estimated(job, progress)


@contextlib.contextmanager
def _nothing_without_state(out: Path) -> Iterator[None]:
    """Let a run that breaks off before there is a state to resume from leave nothing that looks like one."""
    try:
        yield
    except BaseException:
        if not (out / STATE).exists() and not any(out.glob(f"*{CHECKPOINT_ENDING}")):
            for name in BEGUN:
                (out / name).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _prepared(
    data: AnyPath,
    out: Path,
    alphas: Sequence[float],
    resolutions: Sequence[int],
    start: AnyCheckpoint | None,
    teacher: AnyCheckpoint | None,
    options: TrainingOptions,
    progress: Progress,
) -> Iterator[Job]:
    """The job of a training, with its pictures read, while the block runs."""
    for side in resolutions:
        Variant(max(alphas), side)
    progress("looking for the pictures", 0.0)
    dataset = read_dataset(Path(data), options.hold_back)
    plan = Plan(
        dataset=dataset,
        alphas=tuple(alphas),
        resolutions=tuple(resolutions),
        recipe=Recipe(
            steps=max(1, round(options.epochs * len(dataset.train) / options.batch)),
            batch=options.batch,
            peak_rate=options.rate,
            precision=options.precision,
            seed=options.seed,
        ),
        augmentation=Augmentation.for_width(max(alphas), flips=options.flips),
        resize=options.resize,
        grey=options.grey,
        start=loaded(start, needs_classifier=False) if start is not None else None,
        teacher=loaded(teacher) if teacher is not None else None,
        teacher_weight=options.teacher_weight,
    )
    progress("reading the held-back pictures", 0.0)
    device = device_of(options.device)
    with joined(device) as shard:
        job = Job(plan, out, device=device, shard=shard, workers=options.workers)
        if shard.rank == 0:
            _log.info("%s", dataset.summary())
        yield job


def _estimated(job: Job, progress: Progress) -> Estimate:
    """What the job will take, logged once."""
    found = job.estimate(progress)
    if job.is_first:
        _log.info("training takes about %s and %.1f GB", in_hours(found.seconds), found.memory_mb / 1000)
    return found


def _evaluation(out: Path, plan: Plan) -> Evaluation | None:
    """How each class did, by the written checkpoint of the widest network."""
    variant, dataset = Variant(max(plan.alphas), max(plan.resolutions)), plan.dataset
    checkpoint = load_checkpoint(out / checkpoint_name(variant.alpha))
    truth = {item.path: item.label for item in dataset.measured}
    recipe = folded_recipe(checkpoint.config, plan.preprocessing)
    pictures = read_pictures(at_most(MOST_TO_MEASURE, list(truth)), recipe, [variant.resolution])
    network = fold(checkpoint.at(variant.resolution))
    measured_on = f"{len(pictures.paths)} held-back pictures"
    reference = float_answers(network, pictures, variant.resolution, recipe, truth, measured_on)
    return evaluation_of(reference.probabilities, reference, variant.name, dataset.labels)


def _check_folder(out: Path, data: Path, *, resume: bool, replace: bool) -> None:
    """Refuse a folder in use, before work is spent on what is to be written there."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: expected a folder, or a name that is free.")
    if out.is_dir() and any(out.iterdir()) and not (resume or replace):
        kind = UnfinishedRunError if (out / STATE).is_file() else FolderInUseError
        raise kind(f"{out} is in use: expected an empty folder, or a name that is free.")
    check_free(out, replace=True)  # which a folder in use is, if it has come so far
    if out.resolve() == data.resolve():
        raise OutputError(f"{out} holds the pictures: choose another folder for the checkpoints.")
