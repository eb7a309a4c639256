"""Write a bundle: convert every variant of every checkpoint, measure it, and only then let the folder appear."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from convert.checkpoints import Checkpoint
from convert.complexity import layer_costs, mult_adds_of, parameters_of
from convert.data.calibration_data import CalibrationData
from convert.data.image_sets import at_most
from convert.errors import CheckpointError, ConversionError
from convert.pipeline.golden import CANDIDATES, add_golden
from convert.pipeline.targets import FILES, Target
from convert.pipeline.variant import Emitted, Tune, emit
from convert.quantization import folded_recipe
from edge.bundles.bundle import Bundle
from edge.bundles.manifest import Artifact, BundledVariant, Manifest, in_order
from edge.bundles.members import check_place
from edge.bundles.variant import Variant
from edge.bundles.writing import tool, write_labels
from edge.errors import VariantError
from edge.evaluation.options import ThresholdOptions
from edge.evaluation.result import Evaluation
from edge.files import new_folder, sha256_of
from edge.inference.metadata_writer import ModelCard
from edge.inference.unknown import class_number
from edge.profiling.timing import timing_frames
from edge.progress import Progress, no_progress, part_of
from edge.vision.images import read_image
from edge.vision.preprocess import Frame

__all__ = ["BundlePlan", "build_bundle"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BundlePlan:
    """What a bundle is to hold."""

    name: str
    checkpoints: tuple[Checkpoint, ...]
    """One for each α, or for each α and ρ, all of the same classes and prepared pictures."""
    resolutions: tuple[int, ...]
    labels: tuple[str, ...]
    targets: tuple[Target, ...]
    min_agreement: float
    """The least share of held-out pictures on which a file must agree with float."""
    tune: Tune | None = None
    """What to do with the quantizer's integers before they are written."""
    temperature: float | None = None
    """What to divide the logits by; None to find it for each variant."""
    thresholds: ThresholdOptions = field(default_factory=ThresholdOptions)
    """What the thresholds are to achieve."""
    background: str | None = None
    """The class that stands for nothing in particular."""
    author: str = ""
    """Who made the weights."""
    license: str = ""
    """The weights' licence."""

    def __post_init__(self) -> None:
        if self.background is not None:
            class_number(self.background, self.labels)
        if not self.checkpoints:
            raise CheckpointError("No checkpoint was given: a bundle needs one for each α.")
        if not self.targets or not {*self.targets} <= {*FILES}:
            raise ConversionError(f"invalid targets {list(self.targets)}: expected some of {', '.join(FILES)}.")
        if len(set(self.resolutions)) != len(self.resolutions):
            raise VariantError(f"duplicate resolution in {', '.join(map(str, self.resolutions))}: name each once.")
        first = self.checkpoints[0]
        for other in self.checkpoints[1:]:
            if other.config.classes != first.config.classes:
                raise CheckpointError(
                    f"{other.path} has {other.config.classes} classes, {first.path} has {first.config.classes}: "
                    "the checkpoints of one bundle must have the same classes."
                )
            if folded_recipe(other.config) != folded_recipe(first.config):
                raise CheckpointError(
                    f"{other.path} takes {other.config.colour_order} pixels less {other.config.mean}, {first.path} "
                    f"{first.config.colour_order} less {first.config.mean}: a bundle prepares its pictures in one way."
                )
        variants = [Variant(checkpoint.config.alpha, side) for checkpoint, side in self.tasks]
        for variant in variants:
            if variants.count(variant) > 1:
                raise CheckpointError(
                    f"Two checkpoints have α={variant.alpha:g} at ρ={variant.resolution}: a bundle holds one for each. "
                    "Name the resolutions of each: FILE@224."
                )
        for checkpoint in self.checkpoints:
            if not checkpoint.sides_of(self.resolutions):
                raise CheckpointError(
                    f"{checkpoint.path} is for {_listed(checkpoint.only_at)}, and the bundle for "
                    f"{_listed(self.resolutions)}: omit it, or add a resolution of its own."
                )

    @property
    def tasks(self) -> tuple[tuple[Checkpoint, int], ...]:
        """Each checkpoint at each of its resolutions."""
        return tuple((c, side) for c in self.checkpoints for side in c.sides_of(self.resolutions))


def _listed(sides: Sequence[int]) -> str:
    return "ρ=" + ", ".join(map(str, sides))


def build_bundle(
    plan: BundlePlan,
    data: CalibrationData,
    out: Path,
    *,
    replace: bool = False,
    on_evaluated: Callable[[Evaluation], None] = lambda evaluation: None,
    progress: Progress = no_progress,
) -> Manifest:
    """Convert and measure every variant, and write the bundle.

    Args:
        plan: What the bundle is to hold.
        data: Pictures, read for every resolution of the plan.
        out: The folder to write; it appears whole or not at all.
        replace: Whether a bundle that is there already may be replaced.
        on_evaluated: Called with how each class did in each file, where labels are known.
        progress: Called as the work goes on.

    Raises:
        AccuracyError: A file disagrees too often with float.
        ConfidenceError: No threshold of a file achieves what is asked.
        OutputError: The folder exists, or cannot be written.
    """
    check_place(out, replace=replace)
    with new_folder(out, replace=replace) as folder:
        label_file = write_labels(folder, plan.labels)
        variants = []
        for number, (checkpoint, resolution) in enumerate(plan.tasks):
            count, name = len(plan.tasks), f"α={checkpoint.config.alpha:g} ρ={resolution}: "
            emitted = emit(
                checkpoint,
                resolution,
                data,
                targets=plan.targets,
                tune=plan.tune,
                card=ModelCard(labels=plan.labels, author=plan.author, license=plan.license),
                min_agreement=plan.min_agreement,
                temperature=plan.temperature,
                thresholds=plan.thresholds,
                background=None if plan.background is None else class_number(plan.background, plan.labels),
                progress=part_of(progress, number / count, 1 / count, name),
            )
            variants.append(_entry(checkpoint, emitted, folder))
            for one in emitted:
                if one.evaluation is not None:
                    on_evaluated(one.evaluation)
        manifest = Manifest(
            name=plan.name,
            created=(now := _now()).isoformat(timespec="seconds"),
            serial=int(now.timestamp()),
            classes=len(plan.labels),
            labels=label_file,
            preprocessing=data.preprocessing,
            variants=in_order(variants),
            source=_source(plan, data),
        )
        return add_golden(Bundle(root=folder, manifest=manifest, labels=plan.labels), _candidates(data))


def _candidates(data: CalibrationData) -> Iterable[Frame]:
    """Pictures to choose the golden ones from: held-out ones, or blurred noise where there are none."""
    paths = at_most(CANDIDATES, list(data.held_out.paths))
    return map(read_image, paths) if paths else timing_frames(CANDIDATES)


def _entry(checkpoint: Checkpoint, emitted: Sequence[Emitted], folder: Path) -> BundledVariant:
    layers = layer_costs(checkpoint.model, emitted[0].variant.resolution, checkpoint.config.channels)
    return BundledVariant(
        variant=emitted[0].variant,
        mult_adds=mult_adds_of(layers),
        parameters=parameters_of(layers),
        artifacts=tuple(_artifacts(emitted, folder)),
    )


def _artifacts(emitted: Iterable[Emitted], folder: Path) -> Iterable[Artifact]:
    for one in emitted:
        path = folder / one.file_name
        path.write_bytes(one.content)
        yield Artifact(
            file=one.file_name,
            size_bytes=len(one.content),
            sha256=sha256_of(path),
            format=one.format,
            precision=one.precision,
            accuracy=one.accuracy,
            input=one.input,
            confidence=one.confidence,
        )


def _source(plan: BundlePlan, data: CalibrationData) -> dict[str, Any]:
    rights = {"author": plan.author, "license": plan.license}
    return {
        "tool": tool(),
        **{key: value for key, value in rights.items() if value},
        "checkpoints": [_origin(checkpoint) for checkpoint in plan.checkpoints],
        "calibration_pictures": len(data.calibration.paths),
        "fine_tuned": plan.tune is not None,
        "held_out_pictures": len(data.held_out.paths),
    }


def _origin(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "file": checkpoint.path.name,
        "layout": checkpoint.layout,
        "sha256": checkpoint.sha256,
        "configuration": checkpoint.config.to_dict(),
        **({"only_at": list(checkpoint.only_at)} if checkpoint.only_at else {}),
    }


def _now() -> datetime:
    """The time, or the one that ``SOURCE_DATE_EPOCH`` sets for reproducible files."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    return datetime.fromtimestamp(int(epoch), timezone.utc) if epoch.isdigit() else datetime.now(timezone.utc)
