import pytest
import torch
from torch import nn

from convert.errors import TrainingError
from convert.training.family import Family
from tests.convert.training.conftest import ALPHAS, build


@pytest.mark.parametrize("alpha", ALPHAS)
def test_a_member_by_itself_answers_as_within_the_family(family: Family, alpha: float) -> None:
    x = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(family.member(alpha).train()(x), family(x, alpha))


def test_a_narrower_network_is_the_leading_part_of_the_widest(family: Family) -> None:
    narrow, wide = (family.member(alpha).state_dict() for alpha in (0.25, 0.5))
    assert torch.equal(narrow["blocks.3.1.conv.weight"], wide["blocks.3.1.conv.weight"][:64, :32])
    assert torch.equal(narrow["classifier.weight"], wide["classifier.weight"][:, :256])


def test_learning_the_narrow_one_moves_what_is_shared_and_its_own_norms_only(family: Family) -> None:
    family(torch.randn(4, 3, 64, 64), 0.25).square().sum().backward()
    shared = family.widest.get_parameter("blocks.0.1.conv.weight").grad
    assert shared is not None
    assert shared[:16, :8].abs().sum() > 0
    assert shared[16:].abs().sum() == 0 and shared[:, 8:].abs().sum() == 0
    assert family.widest.get_parameter("stem.bn.weight").grad is None
    assert all(p.grad is not None for p in family.own.values())


def test_a_family_is_counted_once(family: Family) -> None:
    widest = sum(p.numel() for p in build(0.5).parameters())
    norms = sum(p.numel() for n, p in build(0.25).named_parameters() if ".bn." in n)
    assert sum(p.numel() for p in family.parameters()) == widest + norms


def test_networks_that_are_no_parts_of_each_other_are_refused() -> None:
    def odd(alpha: float) -> nn.Module:
        return nn.Linear(3, 4 if alpha == 1.0 else 5)

    with pytest.raises(TrainingError, match=r"The network of α=0\.5 is not a part of that of α=1: see weight"):
        Family(odd, (1.0, 0.5))
