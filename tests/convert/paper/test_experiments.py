import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from convert.errors import TrainingError
from convert.paper import experiments
from convert.paper.digits import Digits
from convert.paper.experiments import BASE_ALPHA, Result, Results, networks, run
from convert.paper.plots import write_plots
from edge.bundles.architecture import costs


def test_every_comparison_of_the_paper_has_its_networks() -> None:
    made = {one.label: one for one in networks()}
    assert [one.alpha for one in made.values() if one.label.endswith(" MobileNet-32")][:4] == [1.0, 0.75, 0.5, 0.25]
    assert {one.resolution for one in made.values() if one.alpha == 1.0} == {96, 64, 32}
    shapes = [(one.is_shallow, one.is_separable) for one in made.values() if not one.label[0].isdigit()]
    assert shapes == [(True, True), (False, False)]


def test_the_same_number_draws_the_same_digit_and_tested_ones_are_others() -> None:
    learned, tested = Digits.load()
    first, again = learned.example(5), learned.example(5)
    assert np.array_equal(first[0], again[0]) and first[1] == again[1]
    assert first[0].shape == (96, 96, 3) and first[0].dtype == np.uint8
    seen = {picture.tobytes() for picture in learned.pictures}
    assert len(learned.pictures) + len(tested.pictures) == 1797
    assert sum(picture.tobytes() in seen for picture in tested.pictures) == 0


def test_results_come_one_by_one_and_are_not_trained_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [one for one in networks() if one.label in ("0.25 MobileNet-32", "Shallow MobileNet-32")]
    monkeypatch.setattr(experiments, "_TESTED", 20)
    monkeypatch.setattr(experiments, "_SETTLED_ON", 16)
    found = run(tmp_path, steps=2, batch=4, chosen=chosen[:1])
    expected = costs(0.25 * BASE_ALPHA, 32, 10)[0].total
    assert [(row.label, row.mult_adds) for row in found.rows] == [("0.25 MobileNet-32", expected)]
    monkeypatch.setattr(experiments, "_trained", lambda *_: 0.5)
    found = run(tmp_path, steps=2, batch=4, chosen=chosen, runs=2)
    assert [len(row.accuracies) for row in found.rows] == [2, 2]
    assert found.rows[1].accuracies == (0.5, 0.5) and found.rows[0].accuracies[1] == 0.5
    assert json.loads((tmp_path / "experiments.json").read_text())["steps"] == 2


def test_results_of_other_settings_are_not_mixed(tmp_path: Path) -> None:
    (tmp_path / "experiments.json").write_text('{"steps": 9, "batch": 4, "rows": []}')
    with pytest.raises(TrainingError) as error:
        run(tmp_path, steps=2, batch=4)
    assert str(error.value).endswith("asked are 2 of 4: choose another folder, or the same settings.")
    (tmp_path / "experiments.json").write_text('{"steps": 2}')
    with pytest.raises(TrainingError, match="are damaged"):
        run(tmp_path, steps=2, batch=4)


def test_plots_are_drawn_of_what_there_is(tmp_path: Path) -> None:
    rows = tuple(
        Result(
            label=one.label,
            alpha=one.alpha,
            resolution=one.resolution,
            mult_adds=10**5 * (number + 1),
            parameters=1000 * (number + 1),
            accuracies=(0.5 + 0.05 * number,),
        )
        for number, one in enumerate(networks())
    )
    for path in write_plots(Results(steps=2, batch=4, rows=rows), tmp_path):
        picture = cv2.imread(str(path))
        assert picture is not None and np.ptp(picture) > 100
