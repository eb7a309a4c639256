"""Sony's Model Compression Toolkit: post-training quantization with its defaults, written as an int8 ``.tflite``."""

import os

os.environ["CUDA_VISIBLE_DEVICES"] = ""

from collections.abc import Iterator

import model_compression_toolkit as mct
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from benchmarks.quantizers.task import Task, read_task


def main(task: Task) -> None:
    """Load the checkpoint into Keras' model, quantize it as the toolkit's tutorial does, and export it."""
    picture = tf.keras.Input(shape=(task.side, task.side, 3))
    model = tf.keras.applications.MobileNet(input_tensor=picture, alpha=task.alpha, weights=None)
    model.load_weights(task.checkpoint)

    def pictures() -> Iterator[list[NDArray[np.float32]]]:
        return ([real] for real in task.pictures())

    quantized, _ = mct.ptq.keras_post_training_quantization(model, pictures)
    mct.exporter.keras_export_model(
        model=quantized,
        save_model_path=str(task.out),
        serialization_format=mct.exporter.KerasExportSerializationFormat.TFLITE,
        quantization_format=mct.exporter.QuantizationFormat.INT8,
    )


if __name__ == "__main__":
    main(read_task())
