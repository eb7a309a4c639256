"""What is to be trained, on what, and how, as a value that is checked before anything is read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from convert.checkpoints import Checkpoint
from convert.data.dataset import DataSet
from convert.errors import TrainingError
from convert.model import HALF_RANGE, ModelConfig
from convert.training.image_dataset import Augmentation
from convert.training.recipe import Recipe
from edge.bundles.variant import Variant
from edge.vision.preprocess import ColourOrder, Preprocessing, Resize

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A training run."""

    dataset: DataSet
    alphas: tuple[float, ...]
    """One for a single network, more for a family."""
    resolutions: tuple[int, ...]
    recipe: Recipe
    augmentation: Augmentation
    resize: Resize = "bilinear"
    """How the device shrinks frames."""
    grey: bool = False
    """Whether the network takes one channel; weights to begin with, or a teacher, must do so, too."""
    start: Checkpoint | None = None
    """Weights to begin with; its classifier is taken if it has the same number of classes."""
    teacher: Checkpoint | None = None
    teacher_weight: float = 0.5

    def __post_init__(self) -> None:
        unknown = any(item.label < 0 for item in self.dataset.train)
        if unknown and self.teacher is None:
            raise TrainingError("Some pictures have no label: expected one for each, or a teacher to learn from.")
        classes = len(self.dataset.labels)
        if self.grey and self.config.channels != 1:
            origin = self.start or self.teacher
            raise TrainingError(
                f"{origin.path if origin else 'The network'} takes colours: expected a network of one channel to "
                "train on grey pictures."
            )
        if self.teacher is not None and self.teacher.config.classes != classes:
            raise TrainingError(
                f"{self.teacher.path} has {self.teacher.config.classes} classes, the data have {classes}: "
                "a teacher must know the same classes."
            )
        if self.teacher is not None and _seen(self.teacher.config) != _seen(self.config):
            raise TrainingError(
                f"{self.teacher.path} takes pictures otherwise than the network to train "
                f"({_seen(self.teacher.config)}, not {_seen(self.config)}): a teacher must see the same."
            )
        if self.start is not None and self.start.config.alpha != max(self.alphas):
            raise TrainingError(
                f"{self.start.path} has α={self.start.config.alpha:g}, the widest network to train "
                f"α={max(self.alphas):g}: expected weights of that width."
            )

    @property
    def config(self) -> ModelConfig:
        """The widest network's configuration: that of the weights to begin with; pictures as its teacher takes them."""
        classes, alpha = len(self.dataset.labels), max(self.alphas)
        if self.start is not None:
            return replace(self.start.config, classes=classes)
        if self.teacher is not None:
            order, mean, std = _seen(self.teacher.config)
            return ModelConfig(alpha=alpha, classes=classes, colour_order=order, mean=mean, std=std)
        if self.grey:
            mean = std = HALF_RANGE[:1]
            return ModelConfig(alpha=alpha, classes=classes, colour_order="GRAY", mean=mean, std=std)
        return ModelConfig(alpha=alpha, classes=classes)

    @property
    def preprocessing(self) -> Preprocessing:
        """How the networks take pictures."""
        order, mean, std = _seen(self.config)
        return Preprocessing(resize=self.resize, colour_order=order, mean=mean, std=std)

    @property
    def variants(self) -> list[Variant]:
        """All that is trained, the largest first."""
        return [Variant(a, r) for a in sorted(self.alphas)[::-1] for r in sorted(self.resolutions)[::-1]]

    def settings(self) -> dict[str, Any]:
        """What must not change when a run is resumed, as JSON values. The rate may."""
        recipe = {name: value for name, value in self.recipe.to_dict().items() if name != "peak_rate"}
        return {
            **recipe,
            "growth": [list(stage) for stage in self.recipe.growth],
            "alphas": list(self.alphas),
            "resolutions": list(self.resolutions),
            "labels": list(self.dataset.labels),
            "pictures": len(self.dataset.train),
            "from": self.start.sha256 if self.start else None,
            "teacher": self.teacher.sha256 if self.teacher else None,
            "resize": self.resize,
            **({"grey": True} if self.grey else {}),
            **asdict(self.augmentation),
        }


def _seen(config: ModelConfig) -> tuple[ColourOrder, tuple[float, ...], tuple[float, ...]]:
    """How a network takes pictures: order of the colours, mean and deviation."""
    return config.colour_order, config.mean, config.std
