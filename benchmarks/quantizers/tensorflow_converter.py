"""TensorFlow's ``TFLiteConverter`` from Keras' own model, full int8, its defaults otherwise."""

import tensorflow as tf

from benchmarks.quantizers.task import Task, read_task


def main(task: Task) -> None:
    """Load the checkpoint into Keras' model and convert that."""
    picture = tf.keras.Input(batch_shape=(1, task.side, task.side, 3))
    model = tf.keras.applications.MobileNet(input_tensor=picture, alpha=task.alpha, weights=None)
    model.load_weights(task.checkpoint)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([real] for real in task.pictures())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    task.out.write_bytes(converter.convert())


if __name__ == "__main__":
    main(read_task())
