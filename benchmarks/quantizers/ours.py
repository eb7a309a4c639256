"""This package: ``convert.quantize`` and ``to_tflite``."""

from benchmarks.quantizers.task import Task, read_task


def main(task: Task) -> None:
    """Quantize and emit."""
    from convert.checkpoints import load_checkpoint
    from convert.quantize import fold, quantize
    from convert.to_tflite import to_tflite
    from edge.preprocess import Preprocessing

    network = quantize(fold(load_checkpoint(task.checkpoint).model), task.pixels, Preprocessing())
    task.out.write_bytes(to_tflite(network))


if __name__ == "__main__":
    main(read_task())
