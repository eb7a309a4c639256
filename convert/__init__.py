"""Turn a trained MobileNet v1 into files for a Raspberry Pi or a Jetson, on the workstation.

>>> import convert
>>> bundle = convert.write_bundle(
...     ["weights.h5"], "my-bundle", labels="labels.txt", calibration="photos", resolutions=[224, 128]
... )

Everything that ``edge-convert`` does, a program can do with these names; each is loaded when first used. What can go
wrong is in :mod:`convert.errors`. Needs PyTorch.
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
    from convert.export.tensorrt import BuildOptions, build_engines
    from convert.export.tflite import to_tflite
    from convert.fetch import fetch_imagenet
    from convert.options import BundleOptions, CheckOptions, ConversionOptions, TfliteOptions, TrainingOptions
    from convert.training.launch import estimate_training, train

    __version__: str

__all__ = [
    "BuildOptions",
    "BundleOptions",
    "CheckOptions",
    "Checkpoint",
    "ConversionOptions",
    "TfliteOptions",
    "TrainingOptions",
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

_ROOMS = {
    "convert.checkpoints": ("Checkpoint", "load_checkpoint", "save_checkpoint"),
    "convert.conversion": (
        "examine_layers",
        "quantize",
        "verify",
        "write_bundle",
        "write_onnx",
        "write_tflite",
    ),
    "convert.export.tensorrt": ("BuildOptions", "build_engines"),
    "convert.export.tflite": ("to_tflite",),
    "convert.fetch": ("fetch_imagenet",),
    "convert.options": ("BundleOptions", "CheckOptions", "ConversionOptions", "TfliteOptions", "TrainingOptions"),
    "convert.training.launch": ("estimate_training", "train"),
}
"""The module of each name."""


if not TYPE_CHECKING:  # type checkers see the imports above, and report other names

    def __getattr__(name: str) -> object:
        """Load a name when it is first used (PEP 562)."""
        from importlib import import_module

        if name == "__version__":
            return import_module("edge").__version__
        for module, names in _ROOMS.items():
            if name in names:
                value = globals()[name] = getattr(import_module(module), name)
                return value
        raise AttributeError(f"module 'convert' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
