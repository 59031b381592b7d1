"""Trainings on folds: their weights, their answers, and what is said of damaged tables."""

from pathlib import Path
from typing import Any

import evaluate
import numpy as np
import pytest
import train as train_stage
import yaml

from cifar2.data import dataset
from cifar2.errors import FileError
from cifar2.report import results
from tests.conftest import contents, write
from tests.stages.conftest import tiny_data
from tests.zoo.runs import write_on_folds
from zoo import folds, summary
from zoo.run import md5

SETTINGS: dict[str, Any] = {"model__name": "netdropout", "train__epochs": 2, "train__threads": 1}


@pytest.mark.parametrize("test", [True, False])
def test_trainings_and_answers_are_those_of_the_stages_and_finished_ones_are_not_done_again(
    test: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = [dataset.load(tiny_data(tmp_path / "data") / f"{n}.pt") for n in ("train", "val")]
    seeds = range(1, 5)
    places = [tmp_path / f"seed-{seed}" for seed in seeds]
    for seed, place in zip(seeds, places, strict=True):
        for name, part in zip(
            ("train", "val"), dataset.set_apart(parts[0], 0.5, (seed - 1) % 2), strict=True
        ):
            dataset.save(part, place / f"data/{name}.pt")
        settings = write(place / "settings.yaml", **SETTINGS, train__seed=seed)
        # The states of two trainings are there before.
        snapshots = tmp_path / ("snapshots" if seed > 2 else "others")
        train_stage.main(settings, place / "data", place / "model.pt", place / "s", snapshots)
    capsys.readouterr()

    (tmp_path / "settings").mkdir()
    settings = write(tmp_path / "settings/x-folds.yaml", **SETTINGS, evaluation__test=test)
    content = yaml.safe_load(settings.read_text()) | {"folds": {"folds": 2, "seeds": 2}}
    settings.write_text(yaml.safe_dump(content))
    out = tmp_path / "runs/x-folds"
    paths = out / "answers.csv", out / "trainings.csv", out / "made_by"
    folds.main(settings, tmp_path / "data", *paths, tmp_path / "snapshots")
    assert capsys.readouterr().err.count("continuing after epoch 2 of 2") == 2
    before = contents(out)
    folds.main(settings, tmp_path / "data", *paths, tmp_path / "snapshots")
    assert capsys.readouterr().err.count("continuing after epoch 2 of 2") == 4
    assert contents(out) == before

    found = summary.finished_on_folds(settings.parent, tmp_path / "runs", ["x"])["x"]
    assert found.probabilities.shape == (4, 48 if test else 24)
    rows = [line.split(",") for line in paths[1].read_text().splitlines()[1:]]
    for row, place, answers in zip(rows, places, found.probabilities, strict=True):
        assert row[-1] == md5((place / "model.pt").read_bytes())
        options = {"accuracy": place / "accuracy.json", "predictions": place / "predictions.csv"}
        evaluate.main(place / "settings.yaml", place / "data", place / "model.pt", **options)
        val = results.read_accuracy(options["accuracy"]).val
        assert [float(cell) for cell in row[2:4]] == [val.accuracy, val.loss]
        own = answers[:24][~np.isnan(answers[:24])]
        for p, each in zip(own, results.read_predictions(options["predictions"]), strict=True):
            right = each.predicted == each.actual
            assert (p > 0.5) == right
            assert p == pytest.approx(each.confidence if right else 1 - each.confidence, abs=2e-4)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("answers.csv", "0,0.9,0.9", "0,0.9"),
        ("answers.csv", "0,0.9,0.9", "0,0.9,"),
        ("answers.csv", "0,0.9,0.9", "0,0.9,1.9"),
        ("trainings.csv", "accuracy", "acuracy"),
    ],
)
def test_damaged_table_is_refused(name: str, old: str, new: str, tmp_path: Path) -> None:
    table = write_on_folds(tmp_path, "x", right=7) / name
    table.write_text(table.read_text().replace(old, new, 1))
    with pytest.raises(FileError, match=rf"{name}: damaged"):
        summary.finished_on_folds(tmp_path / "settings/evaluate", tmp_path / "runs", ["x"])
