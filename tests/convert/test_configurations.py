"""What checkpoints differ in, carried through every form in which a network is written."""

from pathlib import Path

import numpy as np
import pytest
import torch

from convert.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from convert.data.calibration_data import CalibrationData, load_calibration_data
from convert.errors import ConversionError
from convert.export.tflite import to_tflite
from convert.model import IMAGENET_MEAN, IMAGENET_STD, ModelConfig
from convert.pipeline.running import compare
from convert.pipeline.variant import emit
from convert.quantization import fold, folded_recipe, quantize
from edge.vision.preprocess import Preprocessing
from tests.convert.closeness import closeness, features_of
from tests.convert.conftest import CLASSES, lively

CONFIGS = {
    "timm": ModelConfig(alpha=0.25, classes=CLASSES, padding="symmetric", bn_eps=1e-5, head=96, rounding="multiple_8"),
    "torch": ModelConfig(
        alpha=0.25,
        classes=CLASSES,
        padding="symmetric",
        bn_eps=1e-5,
        activation="relu",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    ),
    "caffe": ModelConfig(
        alpha=0.25,
        classes=CLASSES,
        padding="symmetric",
        activation="relu",
        mean=(103.94, 116.78, 123.68),
        std=(58.8, 58.8, 58.8),
        colour_order="BGR",
    ),
    "cifar": ModelConfig(alpha=0.25, classes=CLASSES, padding="symmetric", stem_stride=1, mean=(0.0,) * 3),
}


@pytest.fixture(scope="module", params=CONFIGS)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    path = tmp_path_factory.mktemp(request.param) / "own.safetensors"
    save_checkpoint(lively(CONFIGS[request.param]), path)
    return load_checkpoint(path)


def loaded_data(pictures: Path, config: ModelConfig) -> CalibrationData:
    return load_calibration_data(pictures, [64], classes=CLASSES, preprocessing=folded_recipe(config))


def test_folding_changes_the_pixels_scale_and_nothing_else(checkpoint: Checkpoint, pictures: Path) -> None:
    config, recipe = checkpoint.config, folded_recipe(checkpoint.config)
    pixels = loaded_data(pictures, config).held_out.pixels[64]
    trained_on = Preprocessing(colour_order=config.colour_order, mean=config.mean, std=config.std)
    x, folded = (torch.from_numpy(r.real(pixels)).permute(0, 3, 1, 2) for r in (trained_on, recipe))
    with torch.no_grad():
        wanted = checkpoint.model(x)
        assert torch.allclose(fold(checkpoint.model).logits(folded), wanted, atol=2e-3 * float(wanted.abs().max()))


def test_every_form_answers_as_the_trained_network(checkpoint: Checkpoint, pictures: Path, tmp_path: Path) -> None:
    data = loaded_data(pictures, checkpoint.config)
    emitted = emit(checkpoint, 64, data, targets=["tflite", "onnx"], min_agreement=0)
    assert [one.precision for one in emitted] == ["int8", "fp32", "fp16", "int8"]
    int8, fp32, fp16, _ = emitted
    assert fp32.accuracy.agreement == fp16.accuracy.confident_agreement == 1.0
    path = tmp_path / int8.file_name
    path.write_bytes(int8.content)
    assert compare(path, checkpoint, pictures).pictures == 24
    config, pixels = checkpoint.config, data.held_out.pixels[64]
    trained_on = Preprocessing(colour_order=config.colour_order, mean=config.mean, std=config.std)
    with torch.no_grad():
        wanted = checkpoint.model.features(torch.from_numpy(trained_on.real(pixels)).permute(0, 3, 1, 2)).numpy()
    least = 0.3 if config.activation == "relu" else 0.7  # without a cap, a few large values set all levels
    assert closeness(features_of(int8.content, pixels, tmp_path), wanted) > least


def test_pictures_prepared_for_another_mean_are_refused(checkpoint: Checkpoint, data: CalibrationData) -> None:
    if checkpoint.config.mean == data.preprocessing.mean:
        assert emit(checkpoint, 64, data, min_agreement=0)
        return
    with pytest.raises(ConversionError) as error:
        emit(checkpoint, 64, data, min_agreement=0)
    assert "so one preparation cannot serve both: put" in str(error.value)


def test_uint8_files_take_bytes_only_where_the_channels_have_one_mean(pictures: Path) -> None:
    for name, takes_bytes in (("torch", False), ("cifar", True)):
        config = CONFIGS[name]
        pixels = loaded_data(pictures, config).calibration.pixels[64]
        network = quantize(fold(lively(config)), pixels, folded_recipe(config))
        if takes_bytes:
            scale, zero_point = network.input.scale, network.input.zero_point + 128
            levels = np.round((np.arange(256) - config.mean[0]) / 127.5 / scale) + zero_point
            assert np.array_equal(levels, np.arange(256))
            assert to_tflite(network, io="uint8")
        else:
            with pytest.raises(ConversionError) as error:
                to_tflite(network, io="uint8")
            assert str(error.value).endswith("another number in each channel: write an int8 file.")
