"""What a model file is: its tensors, operators and cost, and whether it runs; found by a child process.

A file from elsewhere may crash the runtime, hang or take all memory. So it is first loaded and run in a child with
limits: what kills the child is one line here. This module is that child's program, too.
"""

from __future__ import annotations

import gc
import json
import math
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.child_command import child_command
from edge.errors import BackendError
from edge.inference.backends import litert, onnxruntime
from edge.inference.backends.base import first_line
from edge.vision.tensor import TensorSpec

__all__ = ["Inspection", "Operator", "inspect_model", "inspect_models"]

LONGEST_S: Final = 60.0
MOST_BYTES: Final = 160 << 20
"""Memory that the child may take beyond what the runtime itself takes; and as much as eight times the file."""
_TIMES_THE_FILE: Final = 8
_START_S: Final = 60.0
"""How long the child may take to begin."""
_ENVIRONMENT: Final = {"MALLOC_PERTURB_": "165", "MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1"}
"""Freed memory is overwritten, so that what is used after it was freed shows."""
_CONVOLUTIONS: Final = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


@dataclass(frozen=True, slots=True)
class Operator:
    """One step of the graph."""

    name: str
    """TensorFlow Lite's name of it: ``CONV_2D``."""
    weight: tuple[int, ...]
    """Shape of its second input, the weights of a layer; empty if it has none."""
    weight_dtype: str
    output: tuple[int, ...]
    bias: int
    """Number of biases."""

    @property
    def mult_adds(self) -> int:
        """Multiplications for one picture; those of layers with weights are counted."""
        if self.name not in _CONVOLUTIONS or not self.weight:
            return 0
        inputs = {"CONV_2D": self.weight[1:], "DEPTHWISE_CONV_2D": self.weight[1:3], "FULLY_CONNECTED": self.weight[1:]}
        return math.prod(self.output) * math.prod(inputs[self.name])

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return math.prod(self.weight) + self.bias if self.name in _CONVOLUTIONS else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """A file that was loaded and run."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    operators: tuple[Operator, ...]
    is_finite: bool
    """Whether its answer to a picture of noise is made of numbers."""

    @property
    def mult_adds(self) -> int:
        """Multiplications for one picture."""
        return sum(operator.mult_adds for operator in self.operators)

    @property
    def parameters(self) -> int:
        """Weights and biases of all layers."""
        return sum(operator.parameters for operator in self.operators)

    @property
    def layers(self) -> tuple[Operator, ...]:
        """The operators that have weights, in order."""
        return tuple(operator for operator in self.operators if operator.name in _CONVOLUTIONS)


def inspect_model(path: Path, *, longest_s: float = LONGEST_S) -> Inspection:
    """Load and run a ``.tflite`` file in a child process: see :func:`inspect_models`."""
    return inspect_models([path], longest_s=longest_s)[0]


def inspect_models(
    paths: Sequence[Path], *, format: str = "tflite", longest_s: float = LONGEST_S, most_bytes: int = MOST_BYTES
) -> tuple[Inspection, ...]:
    """Load and run model files, one after another, in one child process.

    Args:
        paths: The files.
        format: ``tflite``, for LiteRT, or ``onnx``, for ONNX Runtime.
        longest_s: How long each may take.
        most_bytes: How much memory each may take, apart from eight times its size.

    Raises:
        BackendError: No runtime is installed, or a file cannot be loaded or run within the limits.
    """
    arguments = [format, str(longest_s), str(most_bytes), *map(str, paths)]
    try:
        done = subprocess.run(
            child_command("edge.inference.inspection", *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | _ENVIRONMENT,
            timeout=_START_S + longest_s * len(paths),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BackendError(f"The runtime did not answer in time for {paths[0]}: the machine is too busy.") from None
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if answers and "error" in answers[-1]:
        raise BackendError(answers[-1]["error"])
    if done.returncode or len(answers) < len(paths):
        raise BackendError(_cause_of_death(paths[min(len(answers), len(paths) - 1)], done.returncode, longest_s))
    return tuple(_inspection(answer) for answer in answers)


def _cause_of_death(path: Path, code: int, longest_s: float) -> str:
    if code == -signal.SIGALRM:
        return f"{path} did not answer within {longest_s:g} s: this model cannot be used."
    cause = f"was killed by signal {-code}" if code < 0 else "ended without an answer"
    return f"The runtime {cause} when it ran {path}: the file is damaged or needs too much memory."


def _inspection(answer: dict[str, Any]) -> Inspection:
    return Inspection(
        inputs=tuple(_spec(values) for values in answer["inputs"]),
        outputs=tuple(_spec(values) for values in answer["outputs"]),
        operators=tuple(
            Operator(o["name"], tuple(o["weight"]), o["weight_dtype"], tuple(o["output"]), o["bias"])
            for o in answer["operators"]
        ),
        is_finite=answer["is_finite"],
    )


def _spec(values: dict[str, Any]) -> TensorSpec:
    return TensorSpec(**{**values, "shape": tuple(values["shape"])})


def _examine_tflite(path: str) -> dict[str, Any]:
    """Run the file here, in the child."""
    module, _ = litert.runtime()
    interpreter = module.Interpreter(model_path=os.fsencode(path), num_threads=1)
    tensors = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    operators = [_operator(step, tensors) for step in interpreter._get_ops_details() if step["op_name"] != "DELEGATE"]
    interpreter.allocate_tensors()
    for tensor in interpreter.get_input_details():
        interpreter.set_tensor(tensor["index"], _noise(tensor["shape"], tensor["dtype"]))
    interpreter.invoke()
    answers = [interpreter.get_tensor(tensor["index"]) for tensor in interpreter.get_output_details()]
    return {
        "inputs": [_described(tensor) for tensor in interpreter.get_input_details()],
        "outputs": [
            {**_described(tensor), "shape": list(answer.shape)}
            for tensor, answer in zip(interpreter.get_output_details(), answers, strict=True)
        ],
        "operators": [asdict(operator) for operator in operators],
        "is_finite": all(map(_is_finite, answers)),
    }


def _examine_onnx(path: str) -> dict[str, Any]:
    """Run the file here, in the child. What its operators are is not asked."""
    backend = onnxruntime.OnnxRuntimeBackend(Path(path), threads=1)
    backend.input()[...] = _noise(backend.input_spec.shape, backend.input_spec.dtype)
    return {
        "inputs": [asdict(backend.input_spec)],
        "outputs": [asdict(backend.output_spec)],
        "operators": [],
        "is_finite": _is_finite(backend.infer()),
    }


def _noise(shape: Sequence[int], dtype: Any) -> NDArray[Any]:
    generator, kind = np.random.default_rng(0), np.dtype(dtype).kind
    values = generator.integers(0, 128, shape) if kind in "iu" else generator.uniform(-1, 1, shape)
    return values.astype(dtype)


def _is_finite(answer: NDArray[Any]) -> bool:
    return answer.dtype.kind != "f" or bool(np.isfinite(answer).all())


def _operator(step: dict[str, Any], tensors: dict[int, dict[str, Any]]) -> Operator:
    def shape(numbers: Sequence[int], place: int) -> tuple[int, ...]:
        known = len(numbers) > place and numbers[place] >= 0
        return tuple(int(n) for n in tensors[int(numbers[place])]["shape"]) if known else ()

    inputs, outputs = step["inputs"], step["outputs"]
    weight = shape(inputs, 1)
    dtype = np.dtype(tensors[int(inputs[1])]["dtype"]).name if weight else ""
    return Operator(step["op_name"], weight, dtype, shape(outputs, 0), math.prod(shape(inputs, 2) or (0,)))


def _described(tensor: dict[str, Any]) -> dict[str, Any]:
    scale, zero_point = tensor["quantization"]
    return {
        "shape": [int(n) for n in tensor["shape"]],
        "dtype": np.dtype(tensor["dtype"]).name,
        "scale": float(scale) or 1.0,
        "zero_point": int(zero_point),
    }


def _main(format: str, longest_s: str, most_bytes: str, *paths: str) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for path in paths:
        signal.setitimer(signal.ITIMER_REAL, float(longest_s))
        answer = _answer(format, path, int(most_bytes))
        gc.collect()  # what freeing the model does to the heap belongs to its trial
        print(json.dumps(answer), flush=True)  # noqa: T201 - the child's answer
        if "error" in answer:
            return


def _answer(format: str, path: str, most_bytes: int) -> dict[str, Any]:
    try:
        litert.version() if format == "tflite" else onnxruntime.version()  # what the runtime itself takes is free
        most_bytes += _TIMES_THE_FILE * Path(path).stat().st_size
        _limit_memory(most_bytes)
        return _examine_tflite(path) if format == "tflite" else _examine_onnx(path)
    except BackendError as reason:
        return {"error": str(reason)}
    except MemoryError:
        return {"error": f"{path} needs more than {most_bytes >> 20} MB of memory: this model cannot be used."}
    except Exception as reason:  # noqa: BLE001 - whatever the runtime says of the file
        kind = "a TensorFlow Lite" if format == "tflite" else "an ONNX"
        return {"error": f"{path} cannot be loaded as {kind} model: {first_line(reason)}"}


def _limit_memory(most_bytes: int) -> None:
    """Bound this process's private memory, of which the runtime's own is a part."""
    data_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
    most = data_pages * resource.getpagesize() + most_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (most, resource.getrlimit(resource.RLIMIT_DATA)[1]))


if __name__ == "__main__":
    _main(*sys.argv[1:])
