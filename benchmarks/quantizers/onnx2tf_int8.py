"""onnx2tf with ``-oiqt``: full int8, per channel, its defaults otherwise."""

import tempfile
from pathlib import Path

import numpy as np
import onnx2tf

from benchmarks.quantizers.task import Task, read_task


def main(task: Task) -> None:
    """Convert, and keep the file that is int8 from input to output."""
    half = np.full((1, 1, 1, 3), 0.5, np.float32)
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures.npy"
        np.save(pictures, task.pixels.astype(np.float32) / 255)
        onnx2tf.convert(
            input_onnx_file_path=str(task.onnx),
            output_folder_path=folder,
            output_integer_quantized_tflite=True,
            custom_input_op_name_np_data_path=[["input", str(pictures), half, half]],
            tflite_backend="tf_converter",
            input_quant_dtype="int8",
            output_quant_dtype="int8",
            non_verbose=True,
        )
        (written,) = Path(folder).glob("*_full_integer_quant.tflite")
        task.out.write_bytes(written.read_bytes())


if __name__ == "__main__":
    main(read_task())
