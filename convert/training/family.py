"""One set of weights for networks of several widths.

A narrower network is the leading part of every tensor of the widest one (slimmable networks, arXiv 1812.08928). Only
batch norm's gain and bias are each width's own: sums over fewer channels have other scales.

The networks themselves are not written twice: each width is an ordinary network whose tensors are lent to it while it
runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.func import functional_call

from convert.errors import TrainingError

__all__ = ["Family", "norms_of"]

_NORMS: Final = nn.modules.batchnorm._BatchNorm


class Family(nn.Module):
    """Networks of several widths that share their weights.

    In training each call normalizes by its own batch; :meth:`member` gives ordinary networks, whose statistics are
    still to be estimated for each resolution.

    >>> from convert.model import MobileNetV1, ModelConfig
    >>> family = Family(lambda alpha: MobileNetV1(ModelConfig(alpha=alpha, classes=10)), (1.0, 0.25))
    >>> family(torch.zeros(2, 3, 64, 64), 0.25).shape
    torch.Size([2, 10])
    """

    def __init__(self, build: Callable[[float], nn.Module], alphas: Sequence[float]) -> None:
        """Build the widest network and the narrower ones' own parameters.

        Args:
            build: Makes the network of one width, untrained.
            alphas: Every width.

        Raises:
            TrainingError: A narrower network is not a part of the widest one.
        """
        super().__init__()
        self.alphas: Final = tuple(sorted(set(alphas), reverse=True))
        self._build = build
        self.widest = build(self.alphas[0])
        self._templates = {alpha: _template(build, alpha) for alpha in self.alphas}
        self.own = nn.ParameterDict()
        for alpha in self.alphas[1:]:
            self._check(alpha)
            for name in _norm_parameters(self._templates[alpha]):
                shape = self._templates[alpha].get_parameter(name).shape
                start = self.widest.get_parameter(name).detach()[_leading(shape)].clone()
                self.own[_key(alpha, name)] = nn.Parameter(start)

    def forward(self, x: Tensor, alpha: float) -> Tensor:
        """Logits (batch, classes) of normalized pictures (batch, 3, ρ, ρ), by the network of width ``alpha``."""
        tensors = dict(self._tensors(alpha))
        logits: Tensor = functional_call(self._templates[alpha], tensors, (x,))
        return logits

    @torch.no_grad()
    def member(self, alpha: float) -> nn.Module:
        """The network of width ``alpha`` by itself, with copies of its weights."""
        network = self._build(alpha)
        for name, parameter in network.named_parameters():
            parameter.copy_(self._tensor(alpha, name, parameter.shape))
        return network.to(next(self.parameters()).device)

    def _tensors(self, alpha: float) -> Iterator[tuple[str, Tensor]]:
        for name, parameter in self._templates[alpha].named_parameters():
            yield name, self._tensor(alpha, name, parameter.shape)

    def _tensor(self, alpha: float, name: str, shape: torch.Size) -> Tensor:
        key = _key(alpha, name)
        part: Tensor = self.own[key] if key in self.own else self.widest.get_parameter(name)[_leading(shape)]
        return part

    def _check(self, alpha: float) -> None:
        wholes = dict(self.widest.named_parameters())
        for name, parameter in self._templates[alpha].named_parameters():
            whole = wholes.get(name)
            if whole is None or any(n > of for n, of in zip(parameter.shape, whole.shape, strict=True)):
                raise TrainingError(
                    f"The network of α={alpha:g} is not a part of that of α={self.alphas[0]:g}: see {name}."
                )


def norms_of(network: nn.Module) -> dict[str, nn.Module]:
    """Every batch norm of ``network`` by its name."""
    return {name: module for name, module in network.named_modules() if isinstance(module, _NORMS)}


def _template(build: Callable[[float], nn.Module], alpha: float) -> nn.Module:
    """A network without memory of its own, which normalizes by the batch."""
    with torch.device("meta"):
        network = build(alpha)
    for norm in norms_of(network).values():
        assert isinstance(norm, _NORMS)
        norm.track_running_stats = False
        norm.running_mean = norm.running_var = norm.num_batches_tracked = None
    return network


def _norm_parameters(network: nn.Module) -> Iterator[str]:
    for name, norm in norms_of(network).items():
        yield from (f"{name}.{own}" for own, _ in norm.named_parameters(recurse=False))


def _leading(shape: torch.Size) -> tuple[slice, ...]:
    return tuple(slice(n) for n in shape)


def _key(alpha: float, name: str) -> str:
    return f"{alpha:g}/{name}".replace(".", "_")
