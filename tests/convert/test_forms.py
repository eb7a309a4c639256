"""The forms in which people hold a trained MobileNet v1: each is read as its own framework answers, or refused by name.

The files, what made them and the frameworks' answers are in ``shared/data/forms`` beside the checkout; see its README.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import convert
from convert.checkpoints import Checkpoint, load_checkpoint, reconfigured
from convert.errors import CheckpointError, TrainingError
from convert.options import BundleOptions, TrainingOptions
from edge.inference.classifier import Classifier
from edge.inference.selftest import self_test

DOCS: Final = Path(__file__).parents[2] / "docs/checkpoints.md"
ACCEPTED: Final = {
    "whole.keras": "whole",
    "whole.h5": "whole",
    "whole.weights.h5": "whole",
    "k2_whole.keras": "k2_whole",
    "flat_gap_dense.keras": "flat_gap_dense",
    "flat_gap_dense.h5": "flat_gap_dense",
    "k2_flat.h5": "k2_flat",
    "nested.keras": "nested",
    "nested.h5": "nested",
    "k2_nested.h5": "k2_nested",
    "rescaling.keras": "rescaling",
    "sequential_nested.keras": "sequential_nested",
    "dense_dense.keras": "dense_dense",
    "sigmoid1.keras": "sigmoid1",
    "grey.keras": "grey",
    "alpha0.35.keras": "alpha0.35",
    "vww_style.h5": "vww_style",
    "no_top.h5": "no_top",
    "no_top.weights.h5": "no_top",
    "tf2onnx.onnx": "whole",
    "whole_float.tflite": "whole",
    "exported.onnx": "torch_state",
    "state.pth": "torch_state",
    "timm_args.pth.tar": "torch_state",
}
"""The file, and the name of its framework's answers."""
REFUSED: Final = {
    "flatten_dense.keras": "takes 2304 values, 9 places of 256 channels, one by one (Flatten)",
    "whole_uint8.tflite": "is quantized already, and its float weights are gone: edge bundle import whole_uint8.tflite",
    "traced.pt": "is TorchScript, which is code. In Python: model = torch.jit.load(",
    "scripted.pt": "is TorchScript, which is code. In Python: model = torch.jit.load(",
    "savedmodel": "is a TensorFlow SavedModel, whose layers are code.",
    "frozen.pb": "python -m tf2onnx.convert --graphdef frozen.pb --inputs x:0 --outputs Identity:0 --output model.onnx",
}
UNIT: Final[dict[str, Any]] = {"mean": (0.0, 0.0, 0.0), "std": (255.0, 255.0, 255.0)}


@pytest.fixture(scope="module")
def forms(shared_data: Path) -> Path:
    folder = shared_data / "forms"
    if not folder.is_dir():
        pytest.skip("shared/data/forms is not beside the checkout")
    return folder


@pytest.fixture(scope="module")
def reference(forms: Path) -> dict[str, NDArray[Any]]:
    with np.load(forms / "reference.npz") as archive:
        return dict(archive)


def test_every_file_is_spoken_for_here_and_in_the_table_of_the_docs(forms: Path) -> None:
    names = {path.name for path in forms.iterdir()} - {"README.md", "reference.npz"}
    assert names == set(ACCEPTED) | set(REFUSED)
    rows = {row.split("|")[1].strip(" `"): row for row in DOCS.read_text().splitlines() if row.startswith("| `")}
    assert {name for name in names if "accepted" in rows[name]} == set(ACCEPTED)
    assert {name for name in names if "refused" in rows[name]} == set(REFUSED)


def loaded(forms: Path, name: str) -> Checkpoint:
    checkpoint = load_checkpoint(forms / name)
    if name.startswith("vww_style"):  # pixels of 0 to 1, which the file does not say
        return reconfigured(checkpoint, **UNIT)
    if ACCEPTED[name] == "torch_state":  # pixels of -1 to 1 and, in state dicts, ReLU6, which the files do not say
        return reconfigured(checkpoint, activation="relu6", mean=(127.5,) * 3, std=(127.5,) * 3)
    return checkpoint


def pictures(forms: Path, reference: dict[str, NDArray[Any]], checkpoint: Checkpoint) -> torch.Tensor:
    """The network's input as README says it was made."""
    frames = [cv2.imread(str(forms.parent / "photos" / str(name))) for name in reference["photos"]]
    shrunk = [cv2.resize(frame, (96, 96), interpolation=cv2.INTER_AREA) for frame in frames if frame is not None]
    code = cv2.COLOR_BGR2GRAY if checkpoint.config.channels == 1 else cv2.COLOR_BGR2RGB
    pixels = np.stack([cv2.cvtColor(one, code).reshape(96, 96, -1) for one in shrunk]).astype(np.float32)
    real = (pixels - np.array(checkpoint.config.mean)) / np.array(checkpoint.config.std)
    return torch.from_numpy(real.astype(np.float32)).permute(0, 3, 1, 2)


def answers(forms: Path, reference: dict[str, NDArray[Any]], name: str) -> NDArray[np.float32]:
    checkpoint = loaded(forms, name)
    model = checkpoint.model
    with torch.no_grad():
        found: NDArray[np.float32]
        if ACCEPTED[name] == "torch_state":
            found = model(torch.from_numpy(reference["torch_input"])).numpy()
            return found
        x = pictures(forms, reference, checkpoint)
        if checkpoint.is_headless:
            found = model.blocks(model.stem(x)).permute(0, 2, 3, 1).numpy()
            return found
        found = model(x).softmax(dim=1).numpy()
    return found[:, 1:] if name.startswith("sigmoid1") else found


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_network_answers_as_in_its_own_framework(name: str, forms: Path, reference: dict[str, NDArray[Any]]) -> None:
    found, wanted = answers(forms, reference, name), reference[ACCEPTED[name]]
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 1e-4


@pytest.mark.parametrize(("name", "words"), REFUSED.items())
def test_a_file_that_is_not_read_is_named_with_the_way_on(name: str, words: str, forms: Path) -> None:
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(forms / name)
    assert str(error.value).startswith(f"{forms / name}") and "\n" not in str(error.value)
    assert words in str(error.value)


def test_what_the_file_says_is_taken_from_it(forms: Path) -> None:
    vww = load_checkpoint(forms / "vww_style.h5")
    assert (vww.config.activation, vww.config.alpha, vww.config.classes, vww.resolution) == ("relu", 0.25, 2, 96)
    assert vww.note == "the file does not say what its pixels are: taken as -1 to 1"
    rescaling = load_checkpoint(forms / "rescaling.keras")
    assert (rescaling.config.mean, rescaling.config.std, rescaling.note) == ((127.5,) * 3, (127.5,) * 3, "")
    assert load_checkpoint(forms / "dense_dense.keras").config.hidden == ((64, "relu"), (32, "relu"))
    assert load_checkpoint(forms / "grey.keras").config.colour_order == "GRAY"
    assert load_checkpoint(forms / "exported.onnx").config.padding == "symmetric"
    assert load_checkpoint(forms / "exported.onnx").config.activation == "relu6"
    assert load_checkpoint(forms / "tf2onnx.onnx").config.padding == "same"
    assert load_checkpoint(forms / "no_top.h5").is_headless


@pytest.mark.parametrize(
    ("name", "classes"), [("dense_dense.keras", 5), ("grey.keras", 5), ("sigmoid1.keras", 2), ("vww_style.h5", 2)]
)
def test_heads_and_channels_go_through_int8_to_the_device(name: str, classes: int, forms: Path, tmp_path: Path) -> None:
    """The weights are random: int8 moves such a network's answers more than a trained one's, by the CPU's kernels."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in sorted((forms.parent / "photos").glob("*.jpg"))[::3]:
        (photos / path.name).symlink_to(path)
    bundle = convert.write_bundle(
        [loaded(forms, name)],
        tmp_path / "bundle",
        labels=[f"class {n}" for n in range(classes)],
        calibration=photos,
        targets=("tflite", "onnx"),
        options=BundleOptions(min_agreement=0.55 if classes > 2 else 0.65),
    )
    (entry,) = bundle.variants
    assert entry.variant.resolution == 96  # the file's own
    exact = entry.artifact("onnx", "fp32")
    assert exact is not None and exact.accuracy.agreement == 1.0
    channels = 1 if name.startswith("grey") else 3
    assert exact.input is not None and exact.input.shape == (1, channels, 96, 96)
    with Classifier(bundle, entry.variant, backend="litert") as classifier:
        assert self_test(bundle, classifier)
        assert len(classifier.classify(str(next(photos.iterdir()))).guesses) == min(5, classes)


def test_features_alone_and_grey_networks_are_trained_from(forms: Path, tmp_path: Path) -> None:
    for number, path in enumerate(sorted((forms.parent / "photos").glob("*.jpg"))[:24]):
        folder = tmp_path / "photos" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / path.name).symlink_to(path)

    def train(name: str, **settings: Any) -> Checkpoint:
        start = forms / name if name else None
        options = TrainingOptions(epochs=1, batch=8, **settings)
        out = tmp_path / f"out-{name}-{len(settings)}"
        convert.train(tmp_path / "photos", out, alphas=(0.25,), resolutions=(32,), start=start, options=options)
        return load_checkpoint(next(out.glob("*.safetensors")))

    trained = train("no_top.h5")
    assert (trained.is_headless, trained.config.classes, trained.config.channels) == (False, 2, 3)
    assert train("grey.keras").config.colour_order == "GRAY"
    assert train("", grey=True).config.colour_order == "GRAY"
    with pytest.raises(TrainingError, match=r"no_top\.h5 takes colours: expected a network of one channel"):
        train("no_top.h5", grey=True)
