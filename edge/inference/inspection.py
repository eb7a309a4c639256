"""What a ready ``.tflite`` file is: its tensors, operators and cost, and whether it runs; found by a child process.

A file from elsewhere may crash the runtime, hang or take all memory. So it is first loaded and run in a child with
limits: what kills the child is one line here. This module is that child's program, too.
"""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge.errors import BackendError
from edge.inference.backends.litert import runtime
from edge.vision.tensor import TensorSpec

__all__ = ["Inspection", "Operator", "inspect_model"]

LONGEST_S: Final = 60.0
MOST_BYTES: Final = 2 << 30
"""Address space that the child may use beyond what it has when it begins."""
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


def inspect_model(path: Path, *, longest_s: float = LONGEST_S, most_bytes: int = MOST_BYTES) -> Inspection:
    """Load and run a ``.tflite`` file in a child process.

    Args:
        path: The file.
        longest_s: How long it may take.
        most_bytes: How much address space it may use.

    Raises:
        BackendError: No runtime is installed, or the file cannot be loaded or run within the limits.
    """
    command = [sys.executable, "-m", "edge.inference.inspection", str(path), str(most_bytes)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=longest_s, check=False)
    except subprocess.TimeoutExpired:
        raise BackendError(f"{path} did not answer within {longest_s:.0f} s: this model cannot be used.") from None
    if done.returncode < 0 or not done.stdout:
        cause = f"was killed by signal {-done.returncode}" if done.returncode < 0 else "ended without an answer"
        raise BackendError(f"The runtime {cause} when it ran {path}: the file is damaged or needs too much memory.")
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise BackendError(answer["error"])
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


def _examine(path: str) -> dict[str, Any]:
    """Run the file here, in the child."""
    module, _ = runtime()
    interpreter = module.Interpreter(model_path=path, num_threads=1)
    tensors = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    operators = [_operator(step, tensors) for step in interpreter._get_ops_details() if step["op_name"] != "DELEGATE"]
    interpreter.allocate_tensors()
    noise = np.random.default_rng(0)
    for tensor in interpreter.get_input_details():
        dtype, shape = np.dtype(tensor["dtype"]), tensor["shape"]
        values = noise.integers(0, 128, shape) if dtype.kind in "iu" else noise.uniform(-1, 1, shape)
        interpreter.set_tensor(tensor["index"], values.astype(dtype))
    interpreter.invoke()
    answers = [interpreter.get_tensor(tensor["index"]) for tensor in interpreter.get_output_details()]
    return {
        "inputs": [_described(tensor) for tensor in interpreter.get_input_details()],
        "outputs": [
            {**_described(tensor), "shape": list(answer.shape)}
            for tensor, answer in zip(interpreter.get_output_details(), answers, strict=True)
        ],
        "operators": [asdict(operator) for operator in operators],
        "is_finite": all(bool(np.isfinite(answer).all()) for answer in answers if answer.dtype.kind == "f"),
    }


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


def _main(path: str, most_bytes: str) -> None:
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - Path would need no less
        used = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + int(most_bytes),) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        answer = _examine(path)
    except BackendError as reason:
        answer = {"error": str(reason)}
    except MemoryError:
        answer = {"error": f"{path} needs more than {int(most_bytes) >> 20} MB of memory: this model cannot be used."}
    except Exception as reason:  # noqa: BLE001 - whatever the runtime says of the file
        line = str(reason).strip().partition("\n")[0] or type(reason).__name__
        answer = {"error": f"{path} cannot be loaded as a TensorFlow Lite model: {line}"}
    print(json.dumps(answer))  # noqa: T201 - the child's answer


if __name__ == "__main__":
    _main(*sys.argv[1:])
