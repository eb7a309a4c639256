"""Batch norm's statistics for each resolution, beside the weights that all resolutions share.

A network that serves several resolutions sees other means and variances at each. A checkpoint holds those of one
resolution where every checkpoint has them, and those of each in tensors of their own: ``at_160/stem.bn.running_mean``.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping
from typing import Final, TypeVar

from torch import Tensor, nn

__all__ = ["Statistics", "nearest", "parted", "tagged", "with_statistics"]

Statistics = Mapping[int, Mapping[str, Tensor]]
"""For each resolution ρ: the running means and variances by the names that the network gives them."""

_TAG: Final = re.compile(r"at_(\d+)/(.+)")
_Value = TypeVar("_Value")
_Network = TypeVar("_Network", bound=nn.Module)


def tagged(statistics: Mapping[int, Mapping[str, _Value]]) -> dict[str, _Value]:
    """The tensors under the names that they have in a file."""
    return {f"at_{side}/{name}": value for side, found in statistics.items() for name, value in found.items()}


def parted(tensors: Mapping[str, _Value]) -> tuple[dict[str, _Value], dict[int, dict[str, _Value]]]:
    """A file's tensors that every resolution shares, and for each resolution its own."""
    shared: dict[str, _Value] = {}
    own: dict[int, dict[str, _Value]] = {}
    for name, value in tensors.items():
        match = _TAG.fullmatch(name)
        if match:
            own.setdefault(int(match[1]), {})[match[2]] = value
        else:
            shared[name] = value
    return shared, own


def nearest(statistics: Statistics, resolution: int) -> Mapping[str, Tensor]:
    """The statistics of ``resolution``, or of the resolution nearest by ratio; nothing if there are none."""
    if not statistics:
        return {}
    return statistics[min(statistics, key=lambda side: (abs(math.log(side / resolution)), -side))]


def with_statistics(network: _Network, statistics: Mapping[str, Tensor]) -> _Network:
    """``network`` itself if there are no ``statistics``, or a copy that normalizes by them."""
    if not statistics:
        return network
    changed = copy.deepcopy(network)
    changed.load_state_dict(dict(statistics), strict=False)
    return changed
