"""Turn a trained MobileNet v1 into files for a Raspberry Pi or a Jetson, on the workstation.

>>> import convert
>>> bundle = convert.write_bundle(
...     ["weights.h5"], "my-bundle", labels="labels.txt", calibration="photos", resolutions=[224, 128]
... )

Everything that ``edge-convert`` does, a program can do with these names; each is loaded when first used. Expected
failures raise an :class:`edge.EdgeError`; :mod:`convert.errors` lists the kinds. Needs PyTorch.
"""

TYPE_CHECKING = False  # as typing's, without the time that importing typing takes
if TYPE_CHECKING:
    from convert.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
    from convert.conversion import (
        examine_layers,
        quantize,
        verify,
        write_bundle,
        write_onnx,
        write_tflite,
    )
    from convert.errors import (
        AccuracyError,
        CalibrationError,
        CheckpointError,
        ConversionError,
        DivergedError,
        FolderInUseError,
        OtherSettingsError,
        TrainingError,
        UnfinishedRunError,
        UntrainedError,
    )
    from convert.export.tensorrt import BuildOptions, build_engines
    from convert.export.tflite import to_tflite
    from convert.fetch import fetch_imagenet
    from convert.options import (
        BundleOptions,
        CheckOptions,
        ConversionOptions,
        QuantizationOptions,
        TfliteOptions,
        TrainingOptions,
    )
    from convert.training.launch import estimate_training, train

    __version__: str

__all__ = [
    "AccuracyError",
    "BuildOptions",
    "BundleOptions",
    "CalibrationError",
    "CheckOptions",
    "Checkpoint",
    "CheckpointError",
    "ConversionError",
    "ConversionOptions",
    "DivergedError",
    "FolderInUseError",
    "OtherSettingsError",
    "QuantizationOptions",
    "TfliteOptions",
    "TrainingError",
    "TrainingOptions",
    "UnfinishedRunError",
    "UntrainedError",
    "build_engines",
    "estimate_training",
    "examine_layers",
    "fetch_imagenet",
    "load_checkpoint",
    "quantize",
    "save_checkpoint",
    "to_tflite",
    "train",
    "verify",
    "write_bundle",
    "write_onnx",
    "write_tflite",
]

_MODULES = {
    "checkpoints": ("Checkpoint", "load_checkpoint", "save_checkpoint"),
    "conversion": ("examine_layers", "quantize", "verify", "write_bundle", "write_onnx", "write_tflite"),
    "errors": (
        "AccuracyError",
        "CalibrationError",
        "CheckpointError",
        "ConversionError",
        "DivergedError",
        "FolderInUseError",
        "OtherSettingsError",
        "TrainingError",
        "UnfinishedRunError",
        "UntrainedError",
    ),
    "export.tensorrt": ("BuildOptions", "build_engines"),
    "export.tflite": ("to_tflite",),
    "fetch": ("fetch_imagenet",),
    "options": (
        "BundleOptions",
        "CheckOptions",
        "ConversionOptions",
        "QuantizationOptions",
        "TfliteOptions",
        "TrainingOptions",
    ),
    "training.launch": ("estimate_training", "train"),
}
"""The names in each module."""

if not TYPE_CHECKING:  # type checkers see the imports above, and report other names

    def __getattr__(name: str) -> object:
        from edge.lazy import load

        globals()[name] = value = load("convert", name, _MODULES)
        return value


def __dir__() -> list[str]:
    return sorted({*(name for name in globals() if name.startswith("__")), *__all__, "__version__"})
