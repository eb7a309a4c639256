"""From a trained network to integers: fold batch norm, condition, calibrate, round, correct the biases."""

from convert.quantization.augmentation import drawn
from convert.quantization.equalization import condition
from convert.quantization.folding import FoldedLayer, FoldedNetwork, fold, folded_recipe
from convert.quantization.network import Quantization, QuantizedLayer, QuantizedNetwork
from convert.quantization.qdq import Form, SymmetricNetwork, symmetrize
from convert.quantization.quantizer import Effort, quantize

__all__ = [
    "Effort",
    "FoldedLayer",
    "FoldedNetwork",
    "Form",
    "Quantization",
    "QuantizedLayer",
    "QuantizedNetwork",
    "SymmetricNetwork",
    "condition",
    "drawn",
    "fold",
    "folded_recipe",
    "quantize",
    "symmetrize",
]
