"""What a PromQL expression names. Prometheus' own parser, in promtool, says whether it is one at all."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["FOREIGN", "labels_of", "names_of"]

FOREIGN: Final = {
    "up": {"job", "instance"},
    "ALERTS": {"job", "instance", "alertname", "alertstate", "severity"},
    "probe_ssl_earliest_cert_expiry": {"job", "instance"},
}
"""Metrics that are not camera-demo's: two of Prometheus itself, one of the blackbox exporter."""
_OPERATORS: Final = {"and", "or", "unless", "offset", "bool"}
_GROUPED: Final = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)")


def _bare(expression: str) -> str:
    """The expression without text, selectors, lists of labels, ranges and offsets."""
    text = re.sub(r'"[^"]*"', '""', expression)
    text = _GROUPED.sub(" ", text)
    text = re.sub(r"label_values\(([^,()]+),[^)]*\)", r"\1", text)
    return re.sub(r"\{[^}]*\}|\[[^\]]*\]|\boffset \w+|\$\w+", " ", text)


def names_of(expression: str) -> set[str]:
    """The metrics in it, recorded ones among them."""
    return set(re.findall(r"(?<![\w.:])[a-zA-Z_:][\w:]*(?![\w:]|\s*\()", _bare(expression))) - _OPERATORS


def labels_of(expression: str) -> set[str]:
    """The labels that it selects or groups by."""
    text = re.sub(r'"[^"]*"', '""', expression)
    grouped = {name.strip() for group in _GROUPED.findall(text) for name in group.split(",")}
    selected = {name for group in re.findall(r"\{([^}]*)\}", text) for name in re.findall(r"(\w+)\s*(?:=|!)", group)}
    return (grouped | selected) - {""}
