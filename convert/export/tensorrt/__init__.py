"""From ONNX to TensorRT engines, on the device that will run them. Needs neither torch nor onnx."""

from convert.export.tensorrt.build import BuildOptions, Built, build
from convert.export.tensorrt.engines import Engines, build_engines
from convert.export.tensorrt.subprocess_builder import Made, make_engine

__all__ = ["BuildOptions", "Built", "Engines", "Made", "build", "build_engines", "make_engine"]
