"""From a trained network to integers: fold batch norm, calibrate, quantize, correct the biases."""

from convert.quantize.folding import FoldedLayer, FoldedNetwork, fold
from convert.quantize.network import Quantization, QuantizedLayer, QuantizedNetwork
from convert.quantize.quantizer import quantize
from convert.quantize.symmetric import Form, SymmetricNetwork, symmetrize

__all__ = [
    "FoldedLayer",
    "FoldedNetwork",
    "Form",
    "Quantization",
    "QuantizedLayer",
    "QuantizedNetwork",
    "SymmetricNetwork",
    "fold",
    "quantize",
    "symmetrize",
]
