"""Trained weights on disk: recognise the format, check every tensor, build the network."""

from convert.checkpoints.loading import Checkpoint, load_checkpoint, reconfigured
from convert.checkpoints.native import save_checkpoint
from convert.checkpoints.statistics import Statistics

__all__ = ["Checkpoint", "Statistics", "load_checkpoint", "reconfigured", "save_checkpoint"]
