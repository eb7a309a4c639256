"""What was read, written and measured, as the commands show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from edge.bundles.bundle import Bundle
from edge.bundles.confidence import Confidence
from edge.bundles.manifest import Accuracy
from edge.bundles.table import bundle_table
from edge.console import note, stdout, write_json
from edge.files import check_parent

if TYPE_CHECKING:  # torch is imported by the commands that need it: --help must not wait for it
    from convert.model import ModelConfig
    from convert.pipeline.variant import Emitted
    from edge.evaluation.result import Evaluation

__all__ = ["check_html", "config_in_words", "in_words", "report", "show_bundle", "show_model"]


def show_model(emitted: Emitted, path: Path, *, as_json: bool) -> None:
    """Print where a model was written and how good it is."""
    if as_json:
        record = {"file": str(path), "size_bytes": len(emitted.content), "input": asdict(emitted.input)}
        confidence = {} if emitted.confidence is None else {"confidence": asdict(emitted.confidence)}
        write_json(record | {"accuracy": asdict(emitted.accuracy)} | confidence)
    else:
        megabytes = len(emitted.content) / 1e6
        words = f"{in_words(emitted.accuracy)}{_calibration(emitted.confidence)}"
        stdout().print(f"{path}: {megabytes:.2f} MB, {words}", soft_wrap=True)


def show_bundle(bundle: Bundle, *, as_json: bool) -> None:
    """Print what a bundle holds and how large it is."""
    if as_json:
        write_json(bundle.manifest.to_dict())
        return
    size_bytes = sum(file.size_bytes for file in bundle.manifest.files())
    stdout().print(bundle_table(bundle.manifest))
    stdout().print(f"{bundle.root}: {size_bytes / 1e6:.2f} MB", soft_wrap=True)


def check_html(path: Path | None) -> None:
    """Refuse a page that cannot be written, before work is spent on it.

    Raises:
        OutputError: Its folder is missing.
    """
    if path is not None:
        check_parent(path)


def report(evaluations: Sequence[Evaluation], html: Path | None, *, as_json: bool) -> None:
    """Print how each class did, and write it as a page where one is asked for; say so where no class is known."""
    if not evaluations:
        if html is not None:
            note(f"{html} is not written: no picture lies in a folder named after a class")
        return
    if not as_json:
        from edge.evaluation.table import show_evaluation

        show_evaluation(evaluations[0])
    if html is not None:
        from edge.evaluation.page import write_page

        write_page(evaluations[0], html)


def config_in_words(config: ModelConfig, *, is_headless: bool = False) -> str:
    """``α=1, 1000 classes, same padding, relu6, eps 0.001, RGB less 127.5 by 127.5``."""
    classes = "no classifier" if is_headless else f"{config.classes} class{'es' * (config.classes != 1)}"
    parts = [f"α={config.alpha:g}", classes, f"{config.padding} padding", config.activation]
    parts += [f"eps {config.bn_eps:g}", f"{config.colour_order} less {_triple(config.mean)} by {_triple(config.std)}"]
    parts += [f"a head of {config.head} filters"] * bool(config.head)
    parts += [f"hidden layers of {', '.join(f'{n} ({a})' for n, a in config.hidden)}"] * bool(config.hidden)
    parts += ["a stem of stride 1"] * (config.stem_stride == 1)
    return ", ".join(parts)


def in_words(accuracy: Accuracy) -> str:
    """``agrees with float on 93.6% (87.8 to 96.8) of 115 pictures``, and the accuracy where labels are known."""
    words = f"measured on {accuracy.pictures} pictures"
    if accuracy.agreement is not None:
        agreement = f"{accuracy.agreement:.1%}{_range(accuracy.agreement_range)}"
        words = f"agrees with float on {agreement} of {accuracy.pictures} held-out pictures"
    if accuracy.confident_agreement is not None:
        words += f", on {accuracy.confident_agreement:.1%} of the {accuracy.confident} that float is sure of"
    if accuracy.top1 is not None and accuracy.float_top1 is not None:
        top1 = f"{accuracy.top1:.1%}{_range(accuracy.top1_range)}"
        words += f"; top-1 {top1}, float {accuracy.float_top1:.1%} ({accuracy.labelled} labelled)"
    return words


def _calibration(found: Confidence | None) -> str:
    """``; probabilities are off by 3.1 points (before: 11.4, by chance: 4.0), logits divided by 1.31``."""
    if found is None or found.error is None or found.error_before is None or found.error_by_chance is None:
        return ""
    errors = f"{100 * found.error:.1f} points (before: {100 * found.error_before:.1f}"
    words = f"; probabilities are off by {errors}, by chance: {100 * found.error_by_chance:.1f})"
    return words + (f", logits divided by {found.temperature:.2f}" if found.temperature is not None else "")


def _range(ends: tuple[float, float] | None) -> str:
    return f" ({100 * ends[0]:.1f} to {100 * ends[1]:.1f})" if ends else ""


def _triple(values: tuple[float, ...]) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else "/".join(f"{value:g}" for value in values)
