"""What a conversion may write: formats and precisions, and the libraries that write them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from convert.export.tensorrt.engines import OnnxPrecision

__all__ = ["FILES", "ONNX_TARGETS", "Int8Form", "Target", "check_writers"]

Target = Literal["tflite", "onnx", "onnx-fp32", "onnx-fp16", "onnx-int8", "onnx-int8_full"]
"""What to emit: int8 TFLite; ONNX of one precision, where ``int8`` keeps the depthwise layers in fp16 and ``int8_full``
does not; or, as ``onnx``, the three of ONNX that TensorRT is likely to want."""
Int8Form = Literal["tflite", "onnx-int8", "onnx-int8_full"]
"""The targets that are int8."""
FILES: Final[dict[Target, tuple[tuple[str, str], ...]]] = {
    "tflite": (("tflite", "int8"),),
    "onnx": (("onnx", "fp32"), ("onnx", "fp16"), ("onnx", "int8")),
    "onnx-fp32": (("onnx", "fp32"),),
    "onnx-fp16": (("onnx", "fp16"),),
    "onnx-int8": (("onnx", "int8"),),
    "onnx-int8_full": (("onnx", "int8_full"),),
}
"""Format and precision of each target's files."""
ONNX_TARGETS: Final[dict[OnnxPrecision, Target]] = {
    "fp32": "onnx-fp32",
    "fp16": "onnx-fp16",
    "int8": "onnx-int8",
    "int8_full": "onnx-int8_full",
}
"""The target of each precision of ONNX."""


def check_writers(targets: Sequence[Target]) -> None:
    """Load what writes ``targets``, so that a library which is missing is found before work is spent.

    Raises:
        ModuleNotFoundError: It is not installed.
    """
    for format in {format for target in targets for format, _ in FILES[target]}:
        import_module(f"convert.export.{format}")
