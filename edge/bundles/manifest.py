"""The manifest of a bundle: what every file is, what was measured of it, and how its input is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from edge.bundles.confidence import Confidence
from edge.bundles.members import LABELS_BYTES, FileEntry, check_names
from edge.bundles.variant import Variant
from edge.errors import BundleError
from edge.text import shortened
from edge.typed_json import OPEN, from_json
from edge.vision.preprocess import Preprocessing
from edge.vision.tensor import TensorSpec

__all__ = [
    "SCHEMA_VERSION",
    "Accuracy",
    "Artifact",
    "BundledVariant",
    "Golden",
    "GoldenAnswer",
    "Manifest",
    "in_order",
    "read_manifest",
]

SCHEMA_VERSION: Final = 1
_MOST_CLASSES: Final = 100_000
_LONGEST_TEXT: Final = 200
"""Of the bundle's name, and of when it was made."""
GoldenAnswer = tuple[tuple[int, float], ...]
"""The best classes for one picture, each with its probability, best first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """What one model file was measured to do on pictures it was not calibrated on; shares from 0 to 1."""

    agreement: float | None
    """Share of pictures whose best class is the float model's; None of a file whose float original is not known."""
    top1: float | None = None
    """Share of labelled pictures whose best class is the label; None without labels."""
    top5: float | None = None
    float_top1: float | None = None
    """The same share of the float model, on the same pictures."""
    pictures: int
    labelled: int = 0
    measured_on: str
    """The pictures' folder."""
    agreement_range: tuple[float, float] | None = None
    """The 95 % confidence interval of the agreement, given the number of pictures."""
    top1_range: tuple[float, float] | None = None
    confident_agreement: float | None = None
    """The agreement where the float model gives its best class more than one half; None where it never does."""
    confident: int = 0
    """How many pictures those are."""
    tied: float | None = None
    """Share of those on which two or more classes tie for the best, though float gives one twice as much as any other:
    the range of the logits was too narrow for them."""
    min_agreement: float | None = None
    """The agreement that was required when the file was written."""

    def __post_init__(self) -> None:
        for name in ("agreement", "top1", "top5", "float_top1", "confident_agreement", "tied", "min_agreement"):
            value = getattr(self, name)
            if value is not None and not _is_share(value):
                raise BundleError(f"{name} {value} is not a share between 0 and 1")
        for name in ("agreement_range", "top1_range"):
            value = getattr(self, name)
            if value is not None and not (all(map(_is_share, value)) and value[0] <= value[1]):
                raise BundleError(f"{name} {value} is not a range of shares between 0 and 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact(FileEntry):
    """One model file of a variant."""

    format: str
    """``tflite`` or ``onnx``."""
    precision: str
    """``int8``, ``fp16`` or ``fp32``; ``int8_full`` for an ONNX file whose depthwise layers are int8 as well."""
    accuracy: Accuracy
    input: TensorSpec | None = None
    """What the model takes: a picture normalized by the bundle's preprocessing, in this shape and type; None in
    bundles written before it was noted."""
    confidence: Confidence | None = field(default=None, metadata=OPEN)
    """How far its probabilities can be trusted; None where that was not measured."""

    def __post_init__(self) -> None:
        FileEntry.__post_init__(self)
        if self.input is not None and min(self.input.shape, default=0) < 0:
            raise BundleError(f"file '{self.file}' has an input of the impossible shape {self.input.shape}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BundledVariant:
    """A variant's entry: its cost and its files."""

    variant: Variant
    mult_adds: int
    parameters: int
    artifacts: tuple[Artifact, ...]

    def __post_init__(self) -> None:
        _check_counts(mult_adds=self.mult_adds, parameters=self.parameters)
        if not self.artifacts:
            raise BundleError(f"{self.variant.name} has no file")

    def artifact(self, format: str, precision: str | None = None) -> Artifact | None:
        """The first file of this format, and of this precision where one is asked for."""
        for artifact in self.artifacts:
            if artifact.format == format and precision in (None, artifact.precision):
                return artifact
        return None

    def artifact_of(self, sha256: str) -> Artifact | None:
        """The file with this SHA-256, as a latency profile names it."""
        return next((artifact for artifact in self.artifacts if artifact.sha256 == sha256), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """Pictures whose answers are known, so that a device can tell whether it gets them right."""

    pictures: tuple[FileEntry, ...]
    inputs: Mapping[int, tuple[tuple[float, ...], ...]]
    """The network's input for each picture, by resolution: see :func:`edge.inference.selftest.input_means`."""
    answers: Mapping[str, tuple[GoldenAnswer, ...]]
    """For each model file by name, what it answers to each picture, in order."""

    def __post_init__(self) -> None:
        for key, known in [*self.inputs.items(), *self.answers.items()]:
            if len(known) != len(self.pictures) or not all(known):
                raise BundleError(f"golden: {str(key)!r} does not have a value for each picture")
        for file, answers in self.answers.items():
            if not all(0 <= probability <= 1 for answer in answers for _, probability in answer):
                raise BundleError(f"golden: {file!r} has a probability outside 0 to 1")


def in_order(variants: Iterable[BundledVariant]) -> tuple[BundledVariant, ...]:
    """The variants as a manifest has them: the most mult-adds first."""
    return tuple(sorted(variants, key=lambda entry: (-entry.mult_adds, entry.variant.name)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything a device must know of a bundle."""

    name: str
    created: str
    """ISO 8601, UTC."""
    classes: int
    labels: FileEntry
    preprocessing: Preprocessing
    variants: tuple[BundledVariant, ...] = field(metadata=OPEN)
    """Most expensive first, by mult-adds."""
    source: Mapping[str, Any]
    """Where the weights came from: checkpoint names and SHA-256, the calibration, versions of the tools."""
    golden: Golden | None = field(default=None, metadata=OPEN)
    """For the self-test; None in bundles of versions before there was one."""
    serial: int = 0
    """Grows from version to version of a bundle, so that an older one that was signed is recognized; 0 if unknown."""

    def __post_init__(self) -> None:
        for text in (self.name, self.created):
            if not text.isprintable():
                raise BundleError(f"expected printable text, got {shortened(repr(text))}")
            if len(text) > _LONGEST_TEXT:
                raise BundleError(f"expected at most {_LONGEST_TEXT} letters, got {shortened(text)!r}")
        _check_counts(classes=self.classes, serial=self.serial)
        if self.classes > _MOST_CLASSES or self.labels.size_bytes > LABELS_BYTES:
            raise BundleError(f"there are more than {_MOST_CLASSES} classes, or labels of more than 16 MB")
        names = [v.variant.name for v in self.variants]
        if not names:
            raise BundleError("it has no variant")
        if len(set(names)) != len(names):
            raise BundleError(f"duplicate variant {next(name for name, count in Counter(names).items() if count > 1)}")
        check_names(self.files())
        for number in (
            number for file in self._model_files() if file.confidence for number in file.confidence.class_below
        ):
            if not 0 <= number < self.classes:
                raise BundleError(f"class_below: class {number} is not among the {self.classes} classes")
        answers = [] if self.golden is None else [answer for known in self.golden.answers.values() for answer in known]
        for class_id in (class_id for answer in answers for class_id, _ in answer):
            if not 0 <= class_id < self.classes:
                raise BundleError(f"golden: class {class_id} is not among the {self.classes} classes")

    def files(self) -> Iterator[FileEntry]:
        """Every file of the bundle but the manifest itself."""
        yield self.labels
        yield from () if self.golden is None else self.golden.pictures
        for variant in self.variants:
            yield from variant.artifacts

    def _model_files(self) -> Iterator[Artifact]:
        return (artifact for variant in self.variants for artifact in variant.artifacts)

    def to_dict(self) -> dict[str, Any]:
        """The manifest as JSON values, with its schema version first."""
        variants = []
        for entry in self.variants:
            row = asdict(entry)
            row["variant"] = entry.variant.name
            for artifact in row["artifacts"]:
                if artifact["confidence"] is None:
                    del artifact["confidence"]
            variants.append(row)
        golden = {} if self.golden is None else {"golden": asdict(self.golden)}
        return {
            "schema_version": SCHEMA_VERSION,
            "name": self.name,
            "created": self.created,
            **({"serial": self.serial} if self.serial else {}),
            "classes": self.classes,
            "labels": asdict(self.labels),
            "preprocessing": asdict(self.preprocessing),
            "source": dict(self.source),
            **golden,
            "variants": variants,
        }


def read_manifest(values: Mapping[str, Any], path: Path) -> Manifest:
    """The manifest in a JSON object.

    Args:
        values: The object.
        path: Where it was read, for messages.

    Raises:
        BundleError: The schema is another one, or a value is missing or impossible.
    """
    version = values.get("schema_version")
    if version != SCHEMA_VERSION:
        newer = isinstance(version, int) and version > SCHEMA_VERSION
        raise BundleError(
            f"Bundle manifest {path} has schema {shortened(repr(version))}, this version reads {SCHEMA_VERSION}: "
            + ("update mobilenet-edge." if newer else "write the bundle again with edge-convert bundle.")
        )
    try:
        found = from_json(Manifest, values, is_open=True)
        if missing := {"mean", "std"} - values["preprocessing"].keys():
            raise KeyError(f"preprocessing.{min(missing)}")
        return replace(found, variants=in_order(found.variants))
    except KeyError as reason:
        raise BundleError(f"Bundle manifest {path} lacks {reason}: write the bundle again.") from reason
    except (TypeError, ValueError) as reason:
        raise BundleError(f"Bundle manifest {path} cannot be used: {str(reason).rstrip('.')}.") from reason


def _is_share(value: float | None) -> bool:
    return value is not None and 0 <= value <= 1


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 0:
            raise BundleError(f"{name} is {count}: expected at least 0")
