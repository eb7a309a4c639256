"""The quantizers people use, side by side: the same checkpoint, the same photos, measured on photos none has seen.

    python benchmarks/quantization.py convert CHECKPOINT PHOTOS --truth CLASSES.json --cache DIR
    python benchmarks/quantization.py latency --cache DIR      time the files written, in turn with ours
    python benchmarks/quantization.py table                    write the tables into docs/quantization.md

Each tool gets an environment of its own in DIR, made at its first use (9 GB for all of them). ``--tools``,
``--resolutions`` and ``--splits`` choose what to run; rows that are not run again stay as they are in the results.
Processor seconds and memory are those of the tool's whole process, from its start until the file is written.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.environments import TOOLS, Tool, installed_mb, prepare
from benchmarks.logits import divergence
from benchmarks.models import interleaved_ratio, load
from benchmarks.processes import run_measured
from benchmarks.quantization_table import write_tables
from convert.checkpoints import Checkpoint, load_checkpoint
from convert.data.image_sets import find_pictures, read_pictures, split
from convert.export.onnx import to_onnx
from convert.pipeline.verification import Reference, float_answers, verify
from convert.quantization import fold
from edge.bundles.variant import Variant
from edge.evaluation.truth import read_truth
from edge.files import write_atomically
from edge.json_files import to_json
from edge.vision.preprocess import Preprocessing

RESULTS: Final = ROOT / "docs/quantization.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One tool on one split at one resolution; shares from 0 to 1, None where nothing was measured."""

    tool: str
    resolution: int
    split: int
    error: str | None = None
    """Why there is no file."""
    calibrated_on: int = 0
    pictures: int = 0
    agreement: float | None = None
    confident: int = 0
    confident_agreement: float | None = None
    divergence: float | None = None
    """From float's answers, in nats (Kullback-Leibler, of the logits' softmax)."""
    labelled: int = 0
    top1: float | None = None
    float_top1: float | None = None
    size_bytes: int | None = None
    cpu_seconds: float | None = None
    peak_mb: float | None = None
    installed_mb: float | None = None
    latency_ratio: float | None = None
    """Time of one inference over that of our file, one thread."""

    @property
    def key(self) -> tuple[int, int, int]:
        """What it is a row of; rows are kept in this order."""
        return -self.resolution, list(TOOLS).index(self.tool), self.split


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """One split of the photos at one resolution."""

    folder: Path
    checkpoint: Checkpoint
    resolution: int
    split: int
    calibrated_on: int
    reference: Reference

    def file(self, tool: Tool) -> Path:
        """Where the tool's model lies."""
        return file_in(self.folder, tool)


def file_in(folder: Path, tool: Tool) -> Path:
    """A tool's model among the files of a case."""
    return folder / f"{tool.name}.{tool.format}"


def read_rows(path: Path) -> list[Row]:
    """The results so far, none if there is no file."""
    return [Row(**row) for row in json.loads(path.read_text(encoding="utf-8"))["rows"]] if path.exists() else []


def keep(path: Path, rows: Iterable[Row]) -> None:
    """Put rows into the results, in place of those of the same tool, resolution and split."""
    known = {row.key: row for row in [*read_rows(path), *rows]}
    write_atomically(path, to_json({"rows": [asdict(known[key]) for key in sorted(known)]}))


def make_case(checkpoint: Checkpoint, photos: Path, truth: Path, resolution: int, number: int, folder: Path) -> Case:
    """Split the photos, write what the tools are given, and take float's answers on the other half."""
    folder.mkdir(parents=True, exist_ok=True)
    to_calibrate, to_measure = split(find_pictures(photos), seed=number)
    recipe, network = Preprocessing(), fold(checkpoint.model)
    pixels = read_pictures(to_calibrate, recipe, [resolution]).pixels[resolution]
    np.save(folder / "pixels.npy", pixels)
    (folder / "float.onnx").write_bytes(to_onnx(network, Variant(network.alpha, resolution)))
    held_out = read_pictures(to_measure, recipe, [resolution])
    classes = read_truth(held_out.paths, [""] * network.classes, truth)
    reference = float_answers(network, held_out, resolution, recipe, classes, photos.name)
    return Case(
        folder=folder,
        checkpoint=checkpoint,
        resolution=resolution,
        split=number,
        calibrated_on=len(pixels),
        reference=reference,
    )


def convert(tool: Tool, case: Case, cache: Path) -> Row:
    """Let a tool make its file, and measure the file."""
    row = Row(tool=tool.name, resolution=case.resolution, split=case.split, calibrated_on=case.calibrated_on)
    environment = prepare(tool, cache)
    if isinstance(environment, str):
        return replace(row, error=environment)
    inputs = [case.checkpoint.path.resolve(), case.folder / "float.onnx", case.folder / "pixels.npy", case.file(tool)]
    command: list[object] = [environment / "bin/python", "-m", f"benchmarks.quantizers.{tool.script}", *inputs]
    command += ["--alpha", case.checkpoint.config.alpha, *tool.options]
    case.file(tool).unlink(missing_ok=True)
    log = case.folder / f"{tool.name}.log"
    used = run_measured([str(part) for part in command], log, ROOT)
    if used.exit_code:
        return replace(row, error=log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1][:300])
    return replace(
        row,
        **accuracy(case.file(tool), case.reference),
        size_bytes=case.file(tool).stat().st_size,
        cpu_seconds=round(used.cpu_seconds, 1),
        peak_mb=round(used.peak_mb),
        installed_mb=round(installed_mb(environment)),
    )


def accuracy(model: Path, reference: Reference) -> dict[str, Any]:
    """What ``edge-convert verify`` measures of a file, and its divergence, as columns of a row."""
    with contextlib.closing(load(model)) as backend:
        measured = asdict(verify(backend, reference, Preprocessing()))
    columns = {name: value for name, value in measured.items() if name in Row.__dataclass_fields__}
    return {**columns, "divergence": round(divergence(model, reference), 5)}


def time_files(rows: Iterable[Row], cache: Path, rounds: int) -> Iterable[Row]:
    """Each tool's file of split 0 beside ours, in turn, one thread; one row a file."""
    for row in rows:
        tool, folder = TOOLS[row.tool], case_folder(cache, row.resolution, row.split)
        path, ours = file_in(folder, tool), file_in(folder, TOOLS["ours"])
        if row.split or not (path.exists() and ours.exists()):
            continue
        ratio = interleaved_ratio(load(path).infer, load(ours).infer, rounds)
        print(f"ρ={row.resolution} {tool.name:12} {ratio:.3f} times our file's time", flush=True)
        yield replace(row, latency_ratio=round(ratio, 3))


def case_folder(cache: Path, resolution: int, number: int) -> Path:
    """Where one case's files lie."""
    return cache / "cases" / f"{resolution}-{number}"


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    commands = parser.add_subparsers(dest="command", required=True)
    converting, timing = commands.add_parser("convert"), commands.add_parser("latency")
    converting.add_argument("checkpoint", type=Path)
    converting.add_argument("photos", type=Path)
    converting.add_argument("--truth", type=Path, required=True, help="JSON of the photos' classes")
    converting.add_argument("--splits", type=int, nargs="+", default=[0, 1, 2], help="seeds")
    timing.add_argument("--rounds", type=int, default=150)
    for one in (converting, timing):
        one.add_argument("--cache", type=Path, required=True, help="for environments and files; kept")
        one.add_argument("--tools", nargs="+", default=list(TOOLS), choices=list(TOOLS))
        one.add_argument("--resolutions", type=int, nargs="+", default=[224])
    commands.add_parser("table")
    options = parser.parse_args()
    if options.command == "table":
        write_tables([asdict(row) for row in read_rows(options.results)], ROOT / "docs/quantization.md")
    elif options.command == "latency":
        is_wanted = {(tool, side) for tool in options.tools for side in options.resolutions}
        rows = [row for row in read_rows(options.results) if (row.tool, row.resolution) in is_wanted]
        keep(options.results, list(time_files(rows, options.cache.resolve(), options.rounds)))
    else:
        run(options)


def run(options: argparse.Namespace) -> None:
    """Convert with every tool, on every split, at every resolution; keep each row as it comes."""
    checkpoint, cache = load_checkpoint(options.checkpoint), options.cache.resolve()
    known = {row.key: row for row in read_rows(options.results)}
    for resolution in options.resolutions:
        for number in options.splits:
            folder = case_folder(cache, resolution, number)
            case = make_case(checkpoint, options.photos, options.truth, resolution, number, folder)
            for name in options.tools:
                row = convert(TOOLS[name], case, cache)
                before = known.get(row.key)
                row = replace(row, latency_ratio=before.latency_ratio if before else None)
                print(json.dumps(asdict(row)), flush=True)
                keep(options.results, [row])


if __name__ == "__main__":
    main()
