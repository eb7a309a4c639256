import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from convert.checkpoints import Checkpoint
from convert.cli.app import build
from convert.data.calibration_data import CalibrationData
from convert.pipeline.layers import examine
from convert.pipeline.targets import Int8Form
from convert.pipeline.variant import emit, report_layers
from convert.quantization import fold, quantize
from convert.quantization.fake_quant import Grid, fake_quant_integers
from edge.vision.preprocess import Preprocessing, Preprocessor
from edge.vision.tensor import TensorSpec


@pytest.mark.parametrize("form", ["tflite", "onnx-int8", "onnx-int8_full"])
def test_the_layers_together_answer_as_the_file_does(
    checkpoint: Checkpoint, data: CalibrationData, form: Int8Form
) -> None:
    report = report_layers(checkpoint, 64, data, form=form)
    file = emit(checkpoint, 64, data, targets=(form,), min_agreement=0)[0]
    assert len(report.layers) == 28 and report.pictures == file.accuracy.pictures
    pictures = 2.1  # of twelve: kernels and half floats round otherwise on another processor
    assert abs(report.agreement - (file.accuracy.agreement or 0)) <= pictures / report.pictures
    assert max(layer.alone_divergence for layer in report.layers) < report.divergence
    assert all(layer.output_sqnr_db > 3 for layer in report.layers)  # 5.8 to 8.6 at the classifier, by form


def test_a_layer_whose_weights_are_ruined_is_the_costliest(checkpoint: Checkpoint, data: CalibrationData) -> None:
    network, pixels = fold(checkpoint.model), data.calibration.pixels[64]
    layers = fake_quant_integers(network, quantize(network, pixels, Preprocessing()))
    whole = examine(layers, pixels, Preprocessing())
    layers[8] = replace(layers[8], weight=layers[8].weight * torch.tensor([1.0, -1.0]).repeat(32)[:, None, None, None])
    ruined = examine(layers, pixels, Preprocessing())
    assert ruined.costliest.name == "block4/pointwise"
    assert ruined.layers[8].weight_sqnr_db < 5 < whole.layers[8].weight_sqnr_db
    assert ruined.layers[8].alone_divergence > 10 * whole.layers[8].alone_divergence
    assert ruined.divergence > whole.divergence
    assert ruined.layers[7] == whole.layers[7]


def test_channels_that_never_fire_are_counted(checkpoint: Checkpoint, data: CalibrationData) -> None:
    network, pixels = fold(checkpoint.model), data.calibration.pixels[64]
    bias = network.layers[2].bias.clone()
    bias[:3] -= 1000
    network = replace(network, layers=(*network.layers[:2], replace(network.layers[2], bias=bias), *network.layers[3:]))
    report = examine(fake_quant_integers(network, quantize(network, pixels, Preprocessing())), pixels, Preprocessing())
    assert report.layers[2].dead_channels >= 3


def test_a_grid_keeps_its_points_and_ends() -> None:
    grid = Grid(0.5, 3.0, -2, 2)
    assert grid.round(torch.tensor([-9.0, 2.2, 3.0, 3.3, 9.0])).tolist() == [2.0, 2.0, 3.0, 3.5, 4.0]


@pytest.mark.parametrize("preprocessing", [Preprocessing(), Preprocessing(mean=(120.0,) * 3, std=(60.0,) * 3)])
def test_pixels_are_rounded_as_on_the_device(
    checkpoint: Checkpoint, data: CalibrationData, preprocessing: Preprocessing
) -> None:
    network = fold(checkpoint.model)
    integers = quantize(network, data.calibration.pixels[64], preprocessing)
    entry, pixels = integers.input, np.arange(256 * 3, dtype=np.uint16).astype(np.uint8).reshape(16, 16, 3)
    spec = TensorSpec(shape=(1, 16, 16, 3), dtype="int8", scale=entry.scale, zero_point=entry.zero_point)
    levels = np.empty(spec.shape, np.int8)
    Preprocessor(preprocessing, spec).normalize(pixels, levels)
    grid = fake_quant_integers(network, integers)[0].input_grid
    assert grid is not None
    found = grid.round(torch.from_numpy(preprocessing.real(pixels)))
    assert np.allclose(found, (levels[0].astype(float) - entry.zero_point) * entry.scale, atol=1e-5)


def test_the_command_prints_a_table_json_and_a_picture(checkpoint: Checkpoint, pictures: Path, tmp_path: Path) -> None:
    asked = ["layers", str(checkpoint.path), "--resolution", "64", "--calibration", str(pictures)]
    told = CliRunner(env={"COLUMNS": "160"}).invoke(build(), [*asked, "--plot", str(tmp_path / "layers.png")])
    assert told.exit_code == 0, told.output
    assert "block13/pointwise" in told.stdout and "Costliest alone" in told.stdout
    assert (tmp_path / "layers.png").read_bytes().startswith(b"\x89PNG")
    values = json.loads(CliRunner().invoke(build(), [*asked, "--json"]).stdout)
    assert len(values["layers"]) == 28 and values["costliest"] in {layer["name"] for layer in values["layers"]}


def test_a_picture_of_another_kind_is_refused_before_the_work(checkpoint: Checkpoint, tmp_path: Path) -> None:
    told = CliRunner().invoke(
        build(), ["layers", str(checkpoint.path), "--resolution", "64", "--plot", str(tmp_path / "layers.pdf")]
    )
    assert "expected a name that ends in .png, .svg or .html" in str(told.exception)


def test_an_exact_layer_has_no_noise(checkpoint: Checkpoint) -> None:
    network = fold(checkpoint.model)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    layers = [
        replace(rounded, weight=exact.weight, bias=exact.bias, input_grid=None, output_grid=None)
        for rounded, exact in zip(
            fake_quant_integers(network, quantize(network, pixels, Preprocessing())), network.layers, strict=True
        )
    ]
    report = examine(layers, pixels, Preprocessing())
    assert report.agreement == 1.0 and report.divergence < 1e-6
    assert min(layer.output_sqnr_db for layer in report.layers) > 100
