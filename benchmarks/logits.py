"""The logits of a written file, from which its divergence is measured.

An int8 softmax gives multiples of 1/256, and no divergence can be computed from probabilities of zero. So the file is
run once more without its softmax; every other operator stays as it is.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.models import load
from convert.pipeline.verification import Reference, answers_of
from edge.vision.preprocess import Preprocessing

__all__ = ["divergence", "without_softmax"]


def divergence(model: Path, reference: Reference) -> float:
    """How far a file's answers are from float's: Kullback-Leibler, in nats, the mean over the reference's pictures."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"logits{model.suffix}"
        path.write_bytes(without_softmax(model))
        with contextlib.closing(load(path)) as backend:
            logits = answers_of(backend, reference.pixels, Preprocessing()).astype(np.float64)
    logits = logits.reshape(len(logits), -1)
    logits -= logits.max(axis=1, keepdims=True)
    found = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    wanted = reference.probabilities.astype(np.float64)
    return float((wanted * (np.log(np.maximum(wanted, np.finfo(np.float32).tiny)) - found)).sum(axis=1).mean())


def without_softmax(model: Path) -> bytes:
    """The ``.tflite`` or ``.onnx`` file with what goes into its softmax as its output.

    Raises:
        ValueError: The model has no softmax.
    """
    return _onnx(model) if model.suffix == ".onnx" else _tflite(model)


def _tflite(model: Path) -> bytes:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    content = model.read_bytes()
    whole = schema.ModelT.InitFromPackedBuf(content, 0)
    for buffer in whole.buffers:
        if buffer.offset > 1:  # litert-quantizer puts its weights behind the model
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    (graph,) = whole.subgraphs
    codes = [whole.operatorCodes[operator.opcodeIndex].builtinCode for operator in graph.operators]
    if schema.BuiltinOperator.SOFTMAX not in codes:
        raise ValueError(f"{model} has no softmax.")
    place = codes.index(schema.BuiltinOperator.SOFTMAX)
    logits, makers = graph.operators[place].inputs[0], {o.outputs[0]: n for n, o in enumerate(graph.operators)}
    while codes[makers[logits]] == schema.BuiltinOperator.RESHAPE:  # to a shape that another tool computes in the graph
        place = makers[logits]
        logits = graph.operators[place].inputs[0]
    graph.outputs = [logits]
    del graph.operators[makers[logits] + 1 :]
    for signature in whole.signatureDefs or ():
        signature.outputs[0].tensorIndex = graph.outputs[0]
    builder = flatbuffers.Builder()
    builder.Finish(whole.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _onnx(model: Path) -> bytes:
    import onnx

    whole = onnx.load(model)
    place = next((n for n, node in enumerate(whole.graph.node) if node.op_type == "Softmax"), None)
    if place is None:
        raise ValueError(f"{model} has no softmax.")
    output = whole.graph.output[0]
    output.name = whole.graph.node[place].input[0]
    del whole.graph.node[place:]
    return bytes(whole.SerializeToString())
