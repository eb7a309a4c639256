"""Where labelled pictures come from, and how they become batches.

A source is an endless sequence: the same number gives the same picture, changed in the same way. So a run that is
stopped goes on with just the pictures that it would have seen, processes share a batch by sharing its numbers, and
pictures can be made ready by threads in any order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge.vision.preprocess import Frame, Preprocessing, Preprocessor
from edge.vision.tensor import TensorSpec

__all__ = ["Batch", "ExampleSource", "Shard", "batches", "make_batch", "normalized"]


class ExampleSource(Protocol):
    """An endless sequence of labelled pictures; asked by several threads at once."""

    @property
    def classes(self) -> int:
        """How many classes there are."""

    def example(self, number: int) -> tuple[Frame, int]:
        """Picture ``number``, from 0: uint8 (height, width, 3) BGR of any size, and its class or ``UNLABELLED``."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Which process of how many this one is."""

    rank: int = 0
    of: int = 1

    def numbers(self, step: int, batch: int) -> range:
        """The numbers of the examples that this process learns from at a step."""
        each = batch // self.of
        start = step * batch + self.rank * each
        return range(start, start + each)


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's pictures at the resolutions that the step wants."""

    pixels: dict[int, NDArray[np.uint8]]
    """For each resolution ρ: (count, ρ, ρ, 3) in the network's colour order."""
    labels: NDArray[np.int64]
    """(count,)."""


def make_batch(
    examples: Sequence[tuple[Frame, int]], resolutions: Sequence[int], preprocessing: Preprocessing
) -> Batch:
    """Pictures as the device would see them at each of the resolutions."""
    pixels = {}
    for side in dict.fromkeys(resolutions):
        preprocessor = Preprocessor(
            preprocessing, TensorSpec(shape=(1, side, side, preprocessing.channels), dtype="uint8")
        )
        pixels[side] = np.stack([preprocessor.pixels(frame) for frame, _ in examples])
    return Batch(pixels, np.array([label for _, label in examples], np.int64))


def batches(
    source: ExampleSource,
    preprocessing: Preprocessing,
    steps: range,
    size: int,
    resolutions: Callable[[int], Sequence[int]],
    *,
    shard: Shard | None = None,
    workers: int = 1,
) -> Generator[Batch]:
    """The batches of ``steps`` in order, each made ready by a thread while those before are learned from.

    Args:
        source: Where pictures come from.
        preprocessing: How the device sees them.
        steps: The steps, counted from 0.
        size: Pictures per step, of all processes together.
        resolutions: What a step wants.
        shard: Which part of each batch is this process's.
        workers: Threads.
    """
    shard = shard or Shard()

    def made(step: int) -> Batch:
        examples = [source.example(number) for number in shard.numbers(step, size)]
        return make_batch(examples, resolutions(step), preprocessing)

    with ThreadPoolExecutor(workers, thread_name_prefix="pictures") as pool:
        waiting: deque[Future[Batch]] = deque()
        ahead = iter(steps)
        try:
            for _ in steps:
                while len(waiting) <= workers and (step := next(ahead, None)) is not None:
                    waiting.append(pool.submit(made, step))
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def normalized(pixels: NDArray[np.uint8], preprocessing: Preprocessing, device: torch.device) -> Tensor:
    """The network's input on ``device``, (count, channels, ρ, ρ), its channels last in memory."""
    real = torch.from_numpy(pixels).to(device, non_blocking=True).permute(0, 3, 1, 2).float()
    mean, std = (torch.tensor(v, device=device)[:, None, None] for v in (preprocessing.mean, preprocessing.std))
    return real.sub_(mean).div_(std)
