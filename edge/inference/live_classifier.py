"""What a program may ask of a running classifier, whether it keeps one variant or changes it by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Literal, NoReturn, Protocol

from edge.bundles.variant import Variant
from edge.inference.backends import Backend, Refusal
from edge.inference.prediction import Guess, Prediction, Prepared
from edge.vision.picture import Picture
from edge.vision.preprocess import Frame

if TYPE_CHECKING:
    from typing_extensions import Self

    from edge.board.health import Health
    from edge.budget import Budget
    from edge.control.decision import Cause, Change
    from edge.inference.classifier import Classifier

__all__ = ["LiveClassifier", "Mode", "refuse_copy"]

Mode = Literal["auto", "pinned", "fixed"]
"""Who chooses the variant: the classifier, by the budget; you, until you release it; you, when it was opened."""


class LiveClassifier(Protocol):
    """The protocol of :class:`edge.Classifier` and :class:`edge.AdaptiveClassifier`.

    Any thread may call any method; pictures are classified one after the other.
    """

    @property
    def variant(self) -> Variant:
        """The variant that gave the last answer; a change shows here with the next frame."""

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The variants that are loaded, and so can be pinned."""

    @property
    def classifiers(self) -> Mapping[Variant, Classifier]:
        """The classifier of each loaded variant."""

    @property
    def left_out(self) -> Mapping[Variant, str]:
        """Variants that were not loaded, and why."""

    @property
    def backend(self) -> Backend:
        """The backend that gave the last answer."""

    @property
    def model_sha256(self) -> str:
        """SHA-256 of the model file that gave the last answer; empty where it is not known."""

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """The backends that were tried before the one in use and could not run the model."""

    @property
    def mode(self) -> Mode:
        """Who chooses the variant."""

    def is_unknown(self, best: Guess) -> bool:
        """Whether an answer of the variant of now with this best class, as averaged over frames, is unknown."""

    @property
    def budget(self) -> Budget | None:
        """The budget of now; None for a fixed variant without one."""

    @property
    def pinned(self) -> Variant | None:
        """The variant that you fixed; None while it is chosen automatically."""

    @property
    def changes(self) -> Mapping[Cause, int]:
        """Number of changes of the variant, by cause."""

    @property
    def last_change(self) -> Change | None:
        """The latest change with its cause and reason; ``str`` gives one line."""

    @property
    def slowdown(self) -> float | None:
        """Latency of the last second as a multiple of the profile's; None without a profile."""

    @property
    def p95_ms(self) -> float | None:
        """95th percentile of what a frame of the variant of now takes; None where that is not known yet."""

    @property
    def is_holding(self) -> bool | None:
        """Whether the budget is expected to be met; None where that is not known."""

    def classify(self, picture: Picture, prepared: Prepared | None = None, *, rgb: bool = False) -> Prediction:
        """Classify one picture.

        Args:
            picture: uint8 (height, width, 3) BGR of any size, the path of a picture file or its bytes, or a PIL image.
            prepared: What :meth:`preparer` made of it; ignored if the resolution has changed since.
            rgb: Whether the array's channels are in the order RGB.

        Raises:
            ImageError: The picture cannot be read, or is of another type or shape.
            BackendError: The runtime failed.
        """

    def preparer(self) -> Callable[[Frame], Prepared]:
        """A function that does the preprocessing ahead, on one other thread: see :meth:`classify`.

        It raises :class:`edge.errors.ImageError` for frames of another type or shape.
        """

    def on_health(self, health: Health) -> None:
        """Take in a sample of the machine's health, as :class:`edge.board.sampler.HealthSampler` gives it."""

    def set_budget(self, budget: Budget) -> None:
        """Replace the budget from the next frame on. Only its latency counts; the other conditions stay as opened."""

    def pin(self, variant: Variant | str) -> None:
        """Use ``variant`` from the next frame on, whatever its latency.

        Raises:
            VariantError: It is not loaded; the message says why, and what is.
        """

    def release(self) -> None:
        """Choose by the budget again.

        Raises:
            VariantError: The variant was fixed when the classifier was opened.
        """

    def close(self) -> None:
        """Free every model, once another thread's picture is classified. A second call does nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def refuse_copy(classifier: object) -> NoReturn:
    """What a classifier does instead of being copied or pickled: a loaded model belongs to its process.

    Raises:
        TypeError: Always.
    """
    raise TypeError(f"{type(classifier).__name__} cannot be copied or pickled: open one in each process.")
