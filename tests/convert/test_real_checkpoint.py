"""The published ImageNet weights on real photos: what the conversion is for."""

import json
from pathlib import Path

import pytest

from convert.checkpoints import load_checkpoint
from convert.data.calibration_data import load_calibration_data
from convert.pipeline.variant import emit
from edge.bundles.bundle import read_labels


@pytest.mark.long
@pytest.mark.parametrize("resolution", [224, 128])
def test_int8_agrees_with_float_on_photos_not_calibrated_on(shared_data: Path, resolution: int) -> None:
    checkpoint = load_checkpoint(shared_data / "mobilenet_1_0_224_tf.h5")
    labels = read_labels(shared_data / "imagenet_labels.txt")
    truth = shared_data / "photos_labels.json"
    assert len(json.loads(truth.read_text())) == 96
    data = load_calibration_data(shared_data / "photos", [resolution], labels=labels, classes=1000, truth=truth)
    accuracy = emit(checkpoint, resolution, data, min_agreement=0)[0].accuracy
    assert accuracy.agreement is not None
    assert accuracy.agreement >= (0.93 if resolution == 224 else 0.92)
    assert accuracy.confident_agreement is not None and accuracy.confident_agreement >= 0.97
    assert accuracy.top1 is not None and accuracy.float_top1 is not None
    assert accuracy.top1 >= accuracy.float_top1 - 0.04
