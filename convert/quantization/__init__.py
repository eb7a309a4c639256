"""From a trained network to integers: fold batch norm, equalize, calibrate, round, correct the biases."""

from convert.quantization.augmentation import synthetic_images
from convert.quantization.equalization import equalize
from convert.quantization.folding import FoldedLayer, FoldedNetwork, fold, folded_recipe
from convert.quantization.network import Quantization, QuantizedLayer, QuantizedNetwork
from convert.quantization.qdq import Form, SymmetricNetwork, symmetrize
from convert.quantization.quantizer import quantize

__all__ = [
    "FoldedLayer",
    "FoldedNetwork",
    "Form",
    "Quantization",
    "QuantizedLayer",
    "QuantizedNetwork",
    "SymmetricNetwork",
    "equalize",
    "fold",
    "folded_recipe",
    "quantize",
    "symmetrize",
    "synthetic_images",
]
