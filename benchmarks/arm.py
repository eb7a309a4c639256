"""The demo bundle on Arm: the same outputs as on x86, and the instructions of every variant's frame.

    python benchmarks/arm.py outputs FILE.npz       what every variant answers to noise and to the golden pictures
    python benchmarks/arm.py compare A.npz B.npz    exit code 1 if int8 inference differs by more than a step
    python benchmarks/arm.py table --icount ICOUNT_SH --root ARM64_ROOT --packages SITE_PACKAGES [--out docs/arm.md]
                                                    count on an emulated Pi 4 and Pi 5 core, and write the figures

``scripts/test-arm`` runs all of it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edge.bundles.bundle import Bundle
    from edge.inference.classifier import Classifier
    from edge.vision.preprocess import Frame

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

NOISES: Final = 8
COMPARED: Final = ("noise", "input", "answer")
BOARDS: Final = {"pi4": "Pi 4 core (Cortex-A72)", "pi5": "Pi 5 core (Cortex-A76)"}
PARTS: Final = ("frame to answer", "inference", "resize and quantize")


def frames(bundle: Bundle) -> Iterator[Frame]:
    """The bundle's golden pictures, mirrored and as negatives too: the same bytes on every machine."""
    import cv2

    for path in sorted((bundle.root / "golden").glob("*.png")):
        picture = cv2.imread(str(path))
        assert picture is not None, path
        for changed in (picture, picture[:, ::-1], 255 - picture):
            yield np.ascontiguousarray(changed, np.uint8)


def classifiers(bundle: Bundle) -> Iterator[tuple[str, Classifier]]:
    """Every variant of the bundle, opened on LiteRT with one thread."""
    from edge.inference.classifier import Classifier

    for entry in bundle.variants:
        classifier = Classifier(bundle, entry.variant, backend="litert", threads=1)
        with closing(classifier.backend):
            yield entry.variant.name, classifier


def outputs(file: Path) -> None:
    """Write, for every variant, its inputs and answers for the frames, and its answers to noise, all int8."""
    from edge.bundles.bundle import open_bundle

    bundle, found = open_bundle("demo"), dict[str, list[NDArray[np.int8]]]()
    for name, classifier in classifiers(bundle):
        tensor, infer = classifier.backend.input(), classifier.backend.infer
        inputs = found[f"{name} input"] = []
        answers = found[f"{name} answer"] = []
        noise = found[f"{name} noise"] = []
        for frame in frames(bundle):
            classifier.network_input(frame)
            inputs.append(tensor.copy())
            answers.append(infer()[0].copy())
        random = np.random.default_rng(0)
        for _ in range(NOISES):
            tensor[:] = random.integers(-128, 128, tensor.shape, np.int8)
            noise.append(infer()[0].copy())
    arrays: dict[str, Any] = {name: np.array(list_of) for name, list_of in found.items()}
    np.savez(file, **arrays)


def compare(first: Path, second: Path) -> int:
    """Print how far two machines are apart; 1 if int8 inference is by more than a step, or an answer is another.

    Given the same bytes the network must say the same. Of a frame it is given what OpenCV's resize gives, which may
    round otherwise on another processor: there inputs may differ by a level, and the best class must be the same.
    """
    is_wrong = False
    with np.load(first) as here, np.load(second) as there:
        for name in sorted({key.partition(" ")[0] for key in (*here, *there)}, reverse=True):
            steps = {part: _steps(here[f"{name} {part}"], there[f"{name} {part}"]) for part in COMPARED}
            is_same = bool((here[f"{name} answer"].argmax(1) == there[f"{name} answer"].argmax(1)).all())
            is_wrong |= steps["noise"] > 1 or steps["input"] > 1 or not is_same
            steps_text = ", ".join(f"{part} {most}" for part, most in steps.items())
            print(
                f"{name}: largest difference in steps: {steps_text}; best classes {'the same' if is_same else 'OTHERS'}"
            )
    return int(is_wrong)


def _steps(here: NDArray[np.int8], there: NDArray[np.int8]) -> int:
    return int(np.abs(here.astype(int) - there.astype(int)).max())


def count() -> None:
    """Run each variant between marks of the instruction counter; the labels go to stderr in the order of the marks."""
    from benchmarks.instructions import count_calls
    from edge.bundles.bundle import open_bundle
    from edge.profiling.timing import timing_frames

    frame, labels = timing_frames(1)[0], list[str]()
    for name, classifier in classifiers(open_bundle("demo")):
        tensor, prepare = classifier.backend.input(), classifier._preprocessor
        work: dict[str, Callable[[], object]] = {
            "frame to answer": lambda one=classifier: one.classify(frame),  # type: ignore[misc]
            "inference": classifier.backend.infer,
            "resize and quantize": lambda to=tensor, prepare=prepare: prepare(frame, to),  # type: ignore[misc]
        }
        labels += [f"{name} {label}" for label in count_calls(work)]
    print(json.dumps(labels), file=sys.stderr)


def counted(icount: Path, root: Path, packages: Path, board: str) -> dict[str, dict[str, float]]:
    """Millions of instructions by variant and part, on one board's core."""
    from benchmarks.instructions import millions

    table: dict[str, dict[str, float]] = {}
    for label, figure in millions(icount, root, packages, board, Path(__file__), "count").items():
        name, _, part = label.partition(" ")
        table.setdefault(name, {})[part] = figure
    return table


def markdown(figures: dict[str, dict[str, dict[str, float]]]) -> str:
    """A table for each board, a row for each variant."""
    text = ""
    for board, table in figures.items():
        text += f"**{BOARDS[board]}**, millions of instructions:\n\n"
        text += f"| variant | {' | '.join(PARTS)} |\n|---|{'--:|' * len(PARTS)}\n"
        for name, parts in table.items():
            text += f"| `{name}` | {' | '.join(f'{parts[part]:.2f}' for part in PARTS)} |\n"
        text += "\n"
    return text


def write(document: Path, tables: str) -> None:
    """Put the tables between the document's marks."""
    from edge.files import write_atomically

    begin, end = "<!-- figures -->\n", "<!-- end of figures -->"
    before, found, rest = document.read_text(encoding="utf-8").partition(begin)
    after = rest.partition(end)[2]
    if not found or not after:
        raise SystemExit(f"arm.py: {document} has no place for the figures: expected {begin.strip()} and {end}")
    write_atomically(document, f"{before}{begin}\n{tables}{end}{after}")


def main() -> int:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("outputs", "compare", "count", "table"))
    parser.add_argument("files", type=Path, nargs="*", metavar="FILE")
    parser.add_argument("--icount", type=Path, help="the instruction counter's script")
    parser.add_argument("--root", type=Path, help="an arm64 root")
    parser.add_argument("--packages", type=Path, help="the site-packages of an installation in it")
    parser.add_argument("--out", type=Path, help="the document to write the figures into")
    options = parser.parse_args()
    if len(options.files) != {"outputs": 1, "compare": 2}.get(options.command, 0):
        parser.error(f"{options.command} takes another number of files")
    if options.command == "outputs":
        outputs(*options.files)
    elif options.command == "compare":
        return compare(*options.files)
    elif options.command == "count":
        count()
    else:
        if None in (options.icount, options.root, options.packages):
            parser.error("table needs --icount, --root and --packages")
        tables = markdown({b: counted(options.icount, options.root, options.packages, b) for b in BOARDS})
        print(tables)
        if options.out:
            write(options.out, tables)
    return 0


if __name__ == "__main__":
    sys.exit(main())
