"""The processes that ``torchrun`` started, if it did."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch
from torch import distributed

from convert.training.source import Shard

__all__ = ["device_of", "joined"]


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[Shard]:
    """Join the other processes while the block runs; alone where ``torchrun`` started none.

    Yields:
        Which process this is.
    """
    if "WORLD_SIZE" not in os.environ:
        yield Shard()
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Shard(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def device_of(name: str) -> torch.device:
    """``auto`` is the GPU of this process if there is one, and else the CPU; other names are torch's."""
    if name != "auto":
        return torch.device(name)
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
