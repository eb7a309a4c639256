"""``litert-torch`` and then ``litert-quantizer`` with its recipe ``static_wi8_ai8``."""

import litert_torch
import torch
from litert_quantizer import quantizer, recipe

from benchmarks.quantizers.task import Task, read_task


def main(task: Task) -> None:
    """Export in float, calibrate, quantize."""
    from convert.checkpoints import load_checkpoint

    model = torch.nn.Sequential(load_checkpoint(task.checkpoint).model, torch.nn.Softmax(dim=1)).eval()
    channels_last = litert_torch.to_channel_last_io(model, args=[0])
    exported = litert_torch.convert(channels_last, (torch.zeros(1, task.side, task.side, 3),))
    exported.export(str(task.out))
    tool = quantizer.Quantizer(str(task.out))
    tool.load_quantization_recipe(recipe.static_wi8_ai8())
    ((key, signature),) = exported._interpreter_builder().get_signature_list().items()
    calibrated = tool.calibrate({key: [{signature["inputs"][0]: picture} for picture in task.pictures()]})
    tool.quantize(calibrated).export_model(str(task.out), overwrite=True)


if __name__ == "__main__":
    main(read_task())
