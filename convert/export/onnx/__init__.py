"""Emit ONNX, for TensorRT and ONNX Runtime: the float network, and the symmetric one with Q/DQ operators."""

from convert.export.onnx.floating import to_onnx
from convert.export.onnx.quantized import to_qdq

__all__ = ["to_onnx", "to_qdq"]
