"""Measure, choose and run MobileNet v1 variants on the device.

>>> import edge
>>> bundle = edge.open_bundle("demo")
>>> profile = edge.profile(bundle)
>>> choice = edge.select(bundle, profile, fps=30)
>>> with edge.Classifier(bundle, choice.variant) as classifier:
...     print(classifier.classify("photo.jpg").best.label)

Everything that the commands and the live demo do, a program can do with these names; each is loaded when first used.
Expected failures raise an :class:`EdgeError`; :mod:`edge.errors` lists the kinds.
Needs numpy, OpenCV, psutil and one inference backend; never torch.
"""

TYPE_CHECKING = False  # as typing's, without the time that importing typing takes
if TYPE_CHECKING:
    from edge.board.health import Health
    from edge.board.sampler import HealthSampler
    from edge.budget import Budget
    from edge.bundles.bundle import Bundle, open_bundle
    from edge.bundles.variant import Variant
    from edge.control.adaptive import AdaptiveClassifier
    from edge.control.decision import Change
    from edge.errors import (
        BackendError,
        BudgetError,
        BundleError,
        ChannelError,
        ConfidenceError,
        DownloadError,
        EdgeError,
        ExistsError,
        ImageError,
        MissingFileError,
        NoVariantFits,
        OlderVersionError,
        OutputError,
        ProfileError,
        SelfTestError,
        SignatureError,
        TeachingError,
        UnequalBoardError,
        UnlikeProfilesError,
        UnsaidError,
        UntrustedKeyError,
        VariantError,
        WrongFileError,
    )
    from edge.evaluation.evaluate import evaluate
    from edge.evaluation.result import Evaluation
    from edge.inference.classifier import Classifier
    from edge.inference.live_classifier import LiveClassifier
    from edge.inference.prediction import Guess, Prediction
    from edge.inference.selftest import self_test
    from edge.profiling.prediction import predict
    from edge.profiling.profile import LatencyProfile, load_profile
    from edge.profiling.profile_cache import profile
    from edge.selection import Selection, select
    from edge.teaching.teach import Taught, teach
    from edge.vision.images import read_image

    __version__: str

__all__ = [
    "AdaptiveClassifier",
    "BackendError",
    "Budget",
    "BudgetError",
    "Bundle",
    "BundleError",
    "Change",
    "ChannelError",
    "Classifier",
    "ConfidenceError",
    "DownloadError",
    "EdgeError",
    "Evaluation",
    "ExistsError",
    "Guess",
    "Health",
    "HealthSampler",
    "ImageError",
    "LatencyProfile",
    "LiveClassifier",
    "MissingFileError",
    "NoVariantFits",
    "OlderVersionError",
    "OutputError",
    "Prediction",
    "ProfileError",
    "Selection",
    "SelfTestError",
    "SignatureError",
    "Taught",
    "TeachingError",
    "UnequalBoardError",
    "UnlikeProfilesError",
    "UnsaidError",
    "UntrustedKeyError",
    "Variant",
    "VariantError",
    "WrongFileError",
    "evaluate",
    "load_profile",
    "open_bundle",
    "predict",
    "profile",
    "read_image",
    "select",
    "self_test",
    "teach",
]

_MODULES = {
    "board.health": ("Health",),
    "board.sampler": ("HealthSampler",),
    "budget": ("Budget",),
    "bundles.bundle": ("Bundle", "open_bundle"),
    "bundles.variant": ("Variant",),
    "control.adaptive": ("AdaptiveClassifier",),
    "control.decision": ("Change",),
    "errors": (
        "BackendError",
        "BudgetError",
        "BundleError",
        "ChannelError",
        "ConfidenceError",
        "DownloadError",
        "EdgeError",
        "ExistsError",
        "ImageError",
        "MissingFileError",
        "NoVariantFits",
        "OlderVersionError",
        "OutputError",
        "ProfileError",
        "SelfTestError",
        "SignatureError",
        "TeachingError",
        "UnequalBoardError",
        "UnlikeProfilesError",
        "UnsaidError",
        "UntrustedKeyError",
        "VariantError",
        "WrongFileError",
    ),
    "evaluation.evaluate": ("evaluate",),
    "evaluation.result": ("Evaluation",),
    "inference.classifier": ("Classifier",),
    "inference.live_classifier": ("LiveClassifier",),
    "inference.prediction": ("Guess", "Prediction"),
    "inference.selftest": ("self_test",),
    "profiling.prediction": ("predict",),
    "profiling.profile": ("LatencyProfile", "load_profile"),
    "profiling.profile_cache": ("profile",),
    "selection": ("Selection", "select"),
    "teaching.teach": ("Taught", "teach"),
    "vision.images": ("read_image",),
}
"""The names in each module."""

if not TYPE_CHECKING:  # type checkers see the imports above, and report other names

    def __getattr__(name: str) -> object:
        from edge.lazy import load

        globals()[name] = value = load("edge", name, _MODULES)
        return value


def __dir__() -> list[str]:
    return sorted({*(name for name in globals() if name.startswith("__")), *__all__, "__version__"})
