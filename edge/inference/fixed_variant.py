"""What a classifier whose variant never changes says to whoever asks it to change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edge.bundles.variant import Variant
from edge.errors import VariantError
from edge.inference.live_classifier import Mode

if TYPE_CHECKING:
    from edge.board.health import Health
    from edge.budget import Budget
    from edge.control.decision import Cause, Change

__all__ = ["FixedVariant"]


class FixedVariant:
    """The part of a :class:`~edge.inference.live_classifier.LiveClassifier` that is about variants, with one alone."""

    variant: Variant
    budget: Budget | None
    last_change: Change | None = None
    """None: the variant never changes."""
    slowdown: float | None = None
    """None: there is no profile to compare with."""

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The variant alone."""
        return (self.variant,)

    @property
    def left_out(self) -> Mapping[Variant, str]:
        """Empty: the bundle's other variants were not asked for."""
        return {}

    @property
    def mode(self) -> Mode:
        """``fixed``: the variant was chosen when the classifier was opened."""
        return "fixed"

    @property
    def pinned(self) -> Variant | None:
        """The variant."""
        return self.variant

    @property
    def changes(self) -> Mapping[Cause, int]:
        """Empty: the variant never changes."""
        return {}

    def on_health(self, health: Health) -> None:
        """Do nothing: heat does not change the variant."""

    def set_budget(self, budget: Budget) -> None:
        """Keep another budget."""
        self.budget = budget

    def pin(self, variant: Variant | str) -> None:
        """Do nothing for the classifier's own variant.

        Raises:
            VariantError: It is another one.
        """
        if Variant.parse(variant) != self.variant:
            raise self._refusal()

    def release(self) -> None:
        """Refuse.

        Raises:
            VariantError: Always, as the variant is fixed.
        """
        raise self._refusal()

    def _refusal(self) -> VariantError:
        return VariantError(f"The variant is fixed to {self.variant.name}: an AdaptiveClassifier can change it.")
