"""Batch norm's statistics recalibrated: plain means over pictures, for one width at one resolution."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from convert.training.family import norms_of

__all__ = ["estimated_statistics"]


@torch.no_grad()
def estimated_statistics(network: nn.Module, inputs: Iterable[Tensor]) -> dict[str, Tensor]:
    """What the batch norms of ``network`` see on ``inputs``.

    Running averages kept while training follow weights of earlier steps, and mix resolutions; these are exact.

    Args:
        network: The network; it is not changed.
        inputs: Normalized pictures (batch, 3, ρ, ρ).

    Returns:
        Running means and variances by name, on the CPU; empty for a network without batch norm.
    """
    trial = copy.deepcopy(network).train()
    norms = norms_of(trial)
    for norm in norms.values():
        assert isinstance(norm, nn.modules.batchnorm._BatchNorm)
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean
    for x in inputs if norms else ():
        trial(x)
    kinds = ("running_mean", "running_var")
    state = trial.state_dict()
    return {f"{name}.{kind}": state[f"{name}.{kind}"].cpu().clone() for name in norms for kind in kinds}
