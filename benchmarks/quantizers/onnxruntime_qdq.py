"""ONNX Runtime's ``quantize_static``: QDQ, int8, per channel, its defaults otherwise."""

from pathlib import Path

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from benchmarks.quantizers.task import Task, read_task


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands out the calibration pictures, channels first."""

    def __init__(self, task: Task) -> None:
        self._pictures = task.pictures()

    def get_next(self) -> dict[str, object] | None:
        """The next picture, or None."""
        picture = next(self._pictures, None)
        return None if picture is None else {"input": np.ascontiguousarray(picture.transpose(0, 3, 1, 2))}


def main(task: Task) -> None:
    """Prepare the float file as ONNX Runtime advises, and quantize it."""
    prepared = Path(f"{task.out}.prepared.onnx")
    quant_pre_process(str(task.onnx), str(prepared))
    quantize_static(
        str(prepared),
        str(task.out),
        Reader(task),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
    )
    prepared.unlink()


if __name__ == "__main__":
    main(read_task())
