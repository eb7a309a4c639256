"""From a trained network to integers: fold batch norm, condition, calibrate, round, correct the biases."""

from convert.quantize.conditioning import condition
from convert.quantize.folding import FoldedLayer, FoldedNetwork, fold, folded_recipe
from convert.quantize.network import Quantization, QuantizedLayer, QuantizedNetwork
from convert.quantize.quantizer import Effort, quantize
from convert.quantize.symmetric import Form, SymmetricNetwork, symmetrize
from convert.quantize.views import drawn

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
