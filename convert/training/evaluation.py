"""What training gives: ordinary networks, each with the statistics of every resolution, and their accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn

from convert.checkpoints.statistics import Statistics, with_statistics
from convert.training.family import Family
from convert.training.source import make_batch, normalized
from convert.training.statistics import estimated_statistics
from edge.vision.preprocess import Frame, Preprocessing

Network = TypeVar("Network", bound=nn.Module)

__all__ = ["Recalibration", "accuracy", "members", "recalibrate_batch_norm"]

_BATCH: Final = 64
"""Pictures at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalibration:
    """What batch norm's statistics are estimated on."""

    examples: Sequence[tuple[Frame, int]]
    """Pictures as training meets them."""
    preprocessing: Preprocessing
    device: torch.device
    """Pictures that are normalized together."""

    def statistics(self, network: nn.Module, resolution: int) -> dict[str, Tensor]:
        """What the batch norms of ``network`` see at ρ = ``resolution``."""
        return estimated_statistics(network, self._inputs(resolution))

    def _inputs(self, resolution: int) -> Iterator[Tensor]:
        for start in range(0, len(self.examples), _BATCH):
            batch = make_batch(self.examples[start : start + _BATCH], [resolution], self.preprocessing)
            yield normalized(batch.pixels[resolution], self.preprocessing, self.device)


def members(network: nn.Module) -> list[nn.Module]:
    """The networks of a family, the widest first, or the one network there is."""
    return [network.member(alpha) for alpha in network.alphas] if isinstance(network, Family) else [network]


def recalibrate_batch_norm(
    network: Network, resolutions: Sequence[int], recalibration: Recalibration
) -> tuple[Network, Statistics]:
    """``network`` ready to be used at the highest of ``resolutions``, and the statistics of each."""
    found = {side: recalibration.statistics(network, side) for side in sorted(resolutions, reverse=True)}
    return with_statistics(network, found[max(resolutions)]).eval(), found


@torch.no_grad()
def accuracy(
    network: nn.Module,
    examples: Sequence[tuple[Frame, int]],
    resolution: int,
    *,
    preprocessing: Preprocessing,
    device: torch.device,
) -> float:
    """Share of labelled pictures whose most likely class is theirs, 0 to 1; the network keeps its statistics."""
    network.eval()
    right = 0
    for start in range(0, len(examples), _BATCH):
        batch = make_batch(examples[start : start + _BATCH], [resolution], preprocessing)
        logits: Any = network(normalized(batch.pixels[resolution], preprocessing, device))
        right += int((logits.argmax(dim=1).cpu().numpy() == batch.labels).sum())
    return right / max(1, len(examples))
