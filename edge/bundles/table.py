"""What a bundle holds, as a table for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.bundles.confidence import Confidence
from edge.bundles.manifest import Manifest

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["bundle_table"]


def bundle_table(manifest: Manifest) -> Table:
    """Every file of a bundle: its size, its cost, and what it was measured to do."""
    from edge.console import table  # loads typer: only where a table is drawn

    headings = ("variant", "file", "MB", "MMACs", "agree %", "top-1 %", "float's", "of", "unknown <", "T", "off by")
    made = table(f"Bundle {manifest.name}", *headings, text=("file",))
    for entry in manifest.variants:
        for artifact in entry.artifacts:
            accuracy = artifact.accuracy
            made.add_row(
                entry.variant.name,
                f"{artifact.format} {artifact.precision}",
                f"{artifact.size_bytes / 1e6:.2f}",
                f"{entry.mult_adds / 1e6:.1f}",
                "" if accuracy.agreement is None else f"{100 * accuracy.agreement:.1f}",
                "" if accuracy.top1 is None else f"{100 * accuracy.top1:.1f}",
                "" if accuracy.float_top1 is None else f"{100 * accuracy.float_top1:.1f}",
                str(accuracy.pictures),
                *_confidence(artifact.confidence),
            )
    if any(file.confidence is not None for entry in manifest.variants for file in entry.artifacts):
        made.caption = (
            "unknown <: answers below this probability are unknown; T: what logits are divided by; "
            "off by: how far probabilities are from the share of right answers, in points"
        )
    return made


def _confidence(found: Confidence | None) -> tuple[str, str, str]:
    if found is None:
        return "", "", ""
    temperature = "" if found.temperature is None else f"{found.temperature:.2f}"
    error = "" if found.error is None else f"{100 * found.error:.1f}"
    return f"{100 * found.unknown_below:.0f} %", temperature, error
