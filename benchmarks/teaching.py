"""How well a taught bundle knows new things, by the number of pictures: python benchmarks/teaching.py BUNDLE PHOTOS.

PHOTOS holds pictures named GROUP_KIND..._OBJECT_N.jpg, three of some objects in front of different backgrounds. Each
figure is of the written files, run by the interpreter. Easy: twelve objects, two pictures each to learn from, the third
to test; all other objects are unknown. Hard: kinds of things, such as birds and fruit, of which some objects are
learned and others, never seen, are tested.
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import edge

LEAST_OBJECTS = 9
"""Of a kind, to be a class of the hard split: eight to learn from, the others to test."""


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("photos", type=Path)
    parser.add_argument("--variants", nargs="+", default=["1.0_224", "1.0_128"])
    parser.add_argument("--draws", type=int, default=5)
    options = parser.parse_args()
    objects = by_object(options.photos)
    easy(objects, options)
    hard(objects, options)


def by_object(photos: Path) -> Mapping[str, list[Path]]:
    """The photos of each object."""
    found: defaultdict[str, list[Path]] = defaultdict(list)
    for path in sorted(photos.glob("*.jpg")):
        found[re.sub(r"_\d+$", "", path.stem)].append(path)
    return found


def easy(objects: Mapping[str, list[Path]], options: argparse.Namespace) -> None:
    """Objects that were learned, in front of another background."""
    three = [name for name, paths in objects.items() if len(paths) == 3]
    print("easy: objects seen before, another background; 12 classes")
    rows: defaultdict[str, list[tuple[float, ...]]] = defaultdict(list)
    for draw in range(options.draws):
        chosen = [three[n] for n in np.random.default_rng(draw).permutation(len(three))[:12]]
        learned = {name: objects[name][:2] for name in chosen}
        tested = {name: objects[name][2:] for name in chosen}
        others = [path for name, paths in objects.items() if name not in chosen for path in paths]
        for variant, figures in taught(options, learned, tested, others):
            rows[variant].append(figures)
    report("2 pictures a class", rows)


def hard(objects: Mapping[str, list[Path]], options: argparse.Namespace) -> None:
    """Objects that were never seen, of kinds that were learned."""
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for name in objects:
        kinds["_".join(name.split("_")[:2])].append(name)
    classes = {kind: names for kind, names in kinds.items() if len(names) >= LEAST_OBJECTS}
    others = [path for kind, names in kinds.items() if kind not in classes for name in names for path in objects[name]]
    print(f"hard: objects never seen; {len(classes)} classes: {', '.join(classes)}")
    for count in (2, 4, 8):
        rows: defaultdict[str, list[tuple[float, ...]]] = defaultdict(list)
        for draw in range(options.draws):
            random = np.random.default_rng(draw)
            orders = {kind: [names[n] for n in random.permutation(len(names))] for kind, names in classes.items()}
            learned = {kind: [p for name in names[:count] for p in objects[name]] for kind, names in orders.items()}
            tested = {kind: [p for name in names[8:] for p in objects[name]] for kind, names in orders.items()}
            for variant, figures in taught(options, learned, tested, others):
                rows[variant].append(figures)
        report(f"{count} objects a class", rows)


def taught(
    options: argparse.Namespace,
    learned: Mapping[str, Sequence[Path]],
    tested: Mapping[str, Sequence[Path]],
    others: Sequence[Path],
) -> list[tuple[str, tuple[float, ...]]]:
    """For each variant: held-out accuracy, accuracy, AUROC of unknown, known kept, unknown told."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, paths in learned.items():
            (folder / "pictures" / name).mkdir(parents=True)
            for path in paths:
                shutil.copy(path, folder / "pictures" / name)
        found = edge.teach(folder / "pictures", folder / "taught", bundle=options.bundle, variants=options.variants)
        figures = []
        for entry in found.bundle.variants:
            with edge.Classifier(found.bundle, entry.variant, top_k=1) as classifier:
                known = [(n.replace("_", " "), classifier.classify(p).best) for n, ps in tested.items() for p in ps]
                strange = np.array([classifier.classify(path).best.probability for path in others])
                below = classifier.unknown_below
            sure = np.array([best.probability for _, best in known])
            classes = {name for name, _ in known}
            recalls = [np.mean([best.label == name for label, best in known if label == name]) for name in classes]
            held_out = found.evaluations[entry.variant]
            right = sum(answer.best == answer.truth for answer in held_out.answers) / len(held_out.answers)
            shares = (right, float(np.mean(recalls)), auroc(sure, strange), (sure >= below).mean())
            figures.append((entry.variant.name, (*map(float, shares), float((strange < below).mean()))))
    return figures


def auroc(known: NDArray[np.float64], strange: NDArray[np.float64]) -> float:
    """How often a known picture is surer than a strange one."""
    wins, ties = (known[:, None] > strange).mean(), (known[:, None] == strange).mean()
    return float(wins + ties / 2)


def report(title: str, rows: Mapping[str, list[tuple[float, ...]]]) -> None:
    """Print the means over the draws."""
    for variant, figures in rows.items():
        means = np.mean(figures, axis=0)
        words = ("held-out accuracy", "accuracy", "AUROC of unknown", "known kept", "unknown told")
        shares = ", ".join(f"{word} {mean:.3f}" for word, mean in zip(words, means, strict=True))
        print(f"{title}, {variant}: {shares}", flush=True)


if __name__ == "__main__":
    main()
