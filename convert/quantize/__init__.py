"""From a trained network to integers: fold batch norm, condition, calibrate, round, correct the biases."""

from convert.quantize.augmentation import drawn
from convert.quantize.equalization import condition
from convert.quantize.folding import FoldedLayer, FoldedNetwork, fold, folded_recipe
from convert.quantize.network import Quantization, QuantizedLayer, QuantizedNetwork
from convert.quantize.qdq import Form, SymmetricNetwork, symmetrize
from convert.quantize.quantizer import Effort, quantize

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
