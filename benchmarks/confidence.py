"""How far probabilities can be trusted, and by what score pictures of unknown things are told apart.

    python benchmarks/confidence.py CHECKPOINT PHOTOS --truth CLASSES.json --cache FOLDER [--resolutions 224 128]

The network in int8, calibrated on the photos that have no class in the list; the others are only measured on. Photos
of one object, as their names say, are never on both sides of a split: a temperature is always that of other objects.
The tables go into docs/confidence.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import torch

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.calibration_methods import METHODS, cooling, cross_validated
from benchmarks.confidence_photos import Floats, Photos, answers, softmax
from benchmarks.quantization_table import put_table
from convert.checkpoints import load_checkpoint
from convert.pipeline.temperature import fit_temperature
from edge.evaluation.calibration import calibration_error, error_by_chance

DOCUMENT: Final = ROOT / "docs/confidence.md"
_DRAWS, _KNOWN = 20, 10


def calibration_table(at: Mapping[int, Photos]) -> str:
    """Calibration errors of every method at every resolution."""
    lines = ["| | " + " | ".join(f"ρ={side}" for side in at) + " |", "|---" * (len(at) + 1) + "|"]
    labelled = {side: photos.where(photos.truth >= 0) for side, photos in at.items()}
    lines.append(_row("top-1", [f"{100 * one.is_right.mean():.1f} %" for one in labelled.values()]))
    for name, method in METHODS.items():
        cells = []
        for photos in labelled.values():
            errors = [calibration_error(found, photos.is_right) for found in cross_validated(photos, method)]
            cells.append(f"{100 * np.mean(errors):.1f}")
        lines.append(_row(name, cells))
        print(lines[-1], flush=True)
    chance = []
    for photos in labelled.values():
        (found, *_) = cross_validated(photos, cooling(fit_temperature))
        chance.append(f"{100 * error_by_chance(found):.1f}")
    lines.append(_row("a perfect one, by chance", chance))
    temperatures = [f"{fit_temperature(one.logits, one.truth):.2f}" for one in labelled.values()]
    lines.append(_row("the temperature", temperatures))
    return "\n".join(lines) + "\n"


def scores(photos: Photos, temperature: float, learned: Photos | None = None) -> dict[str, Floats]:
    """How known each photo looks, by several scores; ``learned`` are the photos that the classes were learned from."""
    sure = softmax(photos.logits)
    ranked = np.sort(sure, axis=1)
    top = photos.logits.max(axis=1)
    found = {
        "best probability, as trained": sure.max(axis=1),
        "**best probability, calibrated**": softmax(photos.logits, temperature).max(axis=1),
        "margin of the two best": ranked[:, -1] - ranked[:, -2],
        "entropy": (sure * np.log(np.maximum(sure, 1e-30))).sum(axis=1),
        "highest logit": top,
        "energy of the logits": top + np.log(np.exp(photos.logits - top[:, None]).sum(axis=1)),
    }
    if learned is not None:
        unit = photos.features / np.linalg.norm(photos.features, axis=1, keepdims=True)
        means = np.stack([learned.features[learned.truth == one].mean(axis=0) for one in np.unique(learned.truth)])
        for name, others in (("nearest mean", means), ("nearest photo", learned.features)):
            near = unit @ (others / np.linalg.norm(others, axis=1, keepdims=True)).T
            found[f"features: cosine to the {name}"] = near.max(axis=1)
    return found


def told_apart(known: Floats, unknown: Floats) -> tuple[float, float]:
    """The area under the ROC curve, and the share of the unknown that pass where 95 % of the known do."""
    greater = (known[:, None] > unknown[None]).mean() + (known[:, None] == unknown[None]).mean() / 2
    threshold = np.sort(known)[int(0.05 * len(known))]
    return float(greater), float((unknown >= threshold).mean())


def ten_known(photos: Photos, seed: int) -> Iterator[tuple[str, float, float]]:
    """Ten objects learned from two photos each, by a layer over the features; the third and all others are asked."""
    labelled = photos.objects[photos.truth >= 0]
    counts = {one: (labelled == one).sum() for one in np.unique(labelled)}
    full = [one for one, count in counts.items() if count == 3]
    chosen = np.random.default_rng(seed).permutation(full)[:_KNOWN]
    index = {one: number for number, one in enumerate(chosen)}
    is_known = np.isin(photos.objects, chosen)
    classes = np.array([index.get(one, -1) for one in photos.objects])
    learned, asked = photos.where(is_known & (photos.number < 2)), photos.where(~is_known | (photos.number == 2))
    learned = Photos(**{**vars(learned), "truth": classes[is_known & (photos.number < 2)]})
    is_third = np.isin(asked.objects, chosen)
    halves = [learned.where(learned.number == number) for number in (0, 1)]
    held = [(other, _layer(half)(other.features)) for half, other in (halves, halves[::-1])]
    logits = np.concatenate([found for _, found in held])
    temperature = fit_temperature(logits, np.concatenate([other.truth for other, _ in held]))
    asked = Photos(**{**vars(asked), "logits": _layer(learned)(asked.features)})
    for name, score in scores(asked, temperature, learned).items():
        yield name, *told_apart(score[is_third], score[~is_third])


def ten_of_its_own(photos: Photos, seed: int) -> Iterator[tuple[str, float, float]]:
    """Ten of the network's own classes, the others cut off: photos of their objects beside all others.

    The temperature is that of the whole network on the other objects.
    """
    labelled = photos.where(photos.truth >= 0)
    chosen = np.random.default_rng(seed).permutation(np.unique(labelled.truth))[:_KNOWN]
    others = labelled.where(~np.isin(labelled.truth, chosen))
    temperature = fit_temperature(others.logits, others.truth)
    is_known = np.isin(photos.truth, chosen)
    for name, score in scores(Photos(**{**vars(photos), "logits": photos.logits[:, chosen]}), temperature).items():
        yield name, *told_apart(score[is_known], score[~is_known])


def _layer(photos: Photos) -> Callable[[Floats], Floats]:
    """A classifier over the features, trained until it settles, with weight decay."""
    mean, spread = photos.features.mean(axis=0), photos.features.std()
    x, y = torch.from_numpy((photos.features - mean) / spread), torch.from_numpy(photos.truth)
    weight = torch.zeros(x.shape[1], _KNOWN, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(_KNOWN, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def cost() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(x @ weight + bias, y) + 1e-3 * (weight**2).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(cost)  # type: ignore[no-untyped-call]
    matrix, shift = weight.detach().numpy(), bias.detach().numpy()
    return lambda features: np.asarray((features - mean) / spread @ matrix + shift)


def thousand_known(photos: Photos) -> Iterator[tuple[str, float, float]]:
    """The classes of the network: right answers beside photos of what is none of them."""
    labelled = photos.where(photos.truth >= 0)
    temperature = fit_temperature(labelled.logits, labelled.truth)
    known, unknown = (
        scores(labelled.where(labelled.is_right), temperature),
        scores(photos.where(photos.truth < 0), temperature),
    )
    for name, score in known.items():
        yield name, *told_apart(score, unknown[name])


def unknown_table(at: Mapping[int, Photos], measure: Callable[[Photos], list[tuple[str, float, float]]]) -> str:
    """AUROC and false alarms of every score at every resolution."""
    lines = ["| | " + " | ".join(f"ρ={side}" for side in at) + " |", "|---" * (len(at) + 1) + "|"]
    found: dict[str, list[str]] = {}
    for photos in at.values():
        rows: dict[str, list[tuple[float, float]]] = {}
        for name, area, alarms in measure(photos):
            rows.setdefault(name, []).append((area, alarms))
        for name, values in rows.items():
            area, alarms = np.mean(values, axis=0)
            found.setdefault(name, []).append(f"{area:.2f}; {100 * alarms:.0f} %")
    return "\n".join([*lines, *(_row(name, cells) for name, cells in found.items())]) + "\n"


def _row(name: str, cells: list[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """Read the command line, measure, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--truth", type=Path, required=True, help="JSON of file names and classes")
    parser.add_argument("--cache", type=Path, required=True, help="folder for the network's answers")
    parser.add_argument("--resolutions", type=int, nargs="+", default=[224, 192, 160, 128])
    options = parser.parse_args()
    checkpoint = load_checkpoint(options.checkpoint)
    at = {side: answers(checkpoint, side, options.photos, options.truth, options.cache) for side in options.resolutions}
    put_table(DOCUMENT, "calibration", calibration_table(at))
    ten = unknown_table(at, lambda photos: [row for seed in range(_DRAWS) for row in ten_known(photos, seed)])
    print(ten, flush=True)
    put_table(DOCUMENT, "ten", ten)
    own = unknown_table(at, lambda photos: [row for seed in range(_DRAWS) for row in ten_of_its_own(photos, seed)])
    print(own, flush=True)
    put_table(DOCUMENT, "own", own)
    thousand = unknown_table(at, lambda photos: list(thousand_known(photos)))
    print(thousand)
    put_table(DOCUMENT, "thousand", thousand)


if __name__ == "__main__":
    main()
