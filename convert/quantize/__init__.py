"""From a trained network to integers: fold batch norm, calibrate, quantize, correct the biases."""

from convert.quantize.folding import FoldedLayer, FoldedNetwork, fold
from convert.quantize.network import Quantization, QuantizedLayer, QuantizedNetwork
from convert.quantize.quantizer import quantize

__all__ = ["FoldedLayer", "FoldedNetwork", "Quantization", "QuantizedLayer", "QuantizedNetwork", "fold", "quantize"]
