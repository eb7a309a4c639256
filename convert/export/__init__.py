"""Writers of the formats that devices run: TensorFlow Lite, ONNX, TensorRT engines."""
