"""One model file: converted, run, compared with float, and only then written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from convert.cli.calibration_data import load_pictures
from convert.cli.formatting import in_words
from edge.console import progress_bar, stdout, write_json

if TYPE_CHECKING:  # torch is imported by the commands that need it: --help must not wait for it
    from convert.export.tflite import IoType
    from convert.export.tflite_metadata import ModelCard
    from convert.pipeline.variant import Target
    from convert.quantization import Effort
    from edge.vision.preprocess import Preprocessing

__all__ = ["Pictures", "write_model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Where the pictures of a conversion come from, as the options say."""

    calibration: Path | None
    verify_on: Path | None
    truth: Path | None
    recipe: Preprocessing


def write_model(
    checkpoint: Path,
    resolution: int,
    out: Path,
    pictures: Pictures,
    *,
    target: Target,
    labels: Sequence[str],
    effort: Effort,
    min_agreement: float,
    as_json: bool,
    io: IoType = "int8",
    card: ModelCard | None = None,
) -> None:
    """Convert one variant to one file, and say how good it is."""
    from convert.checkpoints import load_checkpoint
    from convert.pipeline.variant import emit
    from edge.files import write_atomically

    loaded = load_checkpoint(checkpoint)
    with progress_bar("converting") as progress:
        data = load_pictures(
            loaded,
            labels,
            pictures.calibration,
            pictures.verify_on,
            pictures.truth,
            [resolution],
            pictures.recipe,
            progress,
        )
        (emitted,) = emit(
            loaded,
            resolution,
            data,
            targets=[target],
            effort=effort,
            io=io,
            card=card,
            min_agreement=min_agreement,
            progress=progress,
        )
    write_atomically(out, emitted.content)
    if as_json:
        told = {"file": str(out), "size_bytes": len(emitted.content), "input": asdict(emitted.input)}
        write_json(told | {"accuracy": asdict(emitted.accuracy)})
    else:
        stdout().print(f"{out}: {len(emitted.content) / 1e6:.2f} MB, {in_words(emitted.accuracy)}", soft_wrap=True)
