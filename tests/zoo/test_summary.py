"""Which runs are finished, and the summaries over their seeds."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cifar2 import params
from cifar2.errors import FileError, UserError
from cifar2.report.results import Accuracy
from tests.conftest import contents
from tests.unit.settings import settings
from tests.zoo.runs import some_accuracy, some_predictions, write_run
from zoo import summary
from zoo.summary import Result, Run, Spread
from zoo.variants import Accuracies


def finished(zoo: Path, **seeds: list[int]) -> summary.Runs:
    return summary.finished_runs(zoo / "settings/evaluate", zoo / "runs", seeds)


def finished_seeds(zoo: Path, **seeds: list[int]) -> dict[str, list[int]]:
    return {name: list(runs) for name, runs in finished(zoo, **seeds).items()}


# Runs on disk


def test_finished_run_is_read_whole(tmp_path: Path) -> None:
    write_run(tmp_path, "width-3", right=8)
    quantities = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
    series = {name: 2 * [0.8 + place] for place, name in enumerate(quantities)}
    expected = Run(
        params.load(tmp_path / "settings/evaluate/width-3.yaml"),
        series,
        some_accuracy(0.8),
        some_predictions(8),
    )
    assert finished(tmp_path, width=[3]) == {"width": {3: expected}}


def test_runs_are_those_that_are_asked_for_in_that_order(tmp_path: Path) -> None:
    for name in ("a-1", "a-2", "a-3", "b-1", "c-1"):
        write_run(tmp_path, name)
    found = finished_seeds(tmp_path, b=[1], a=[2, 1], none=[], new=[1])
    assert list(found.items()) == [("b", [1]), ("a", [2, 1])]


SERIES = "training/plots/metrics/train/accuracy.tsv"


def shorten_all_series(run: Path) -> None:
    for path in run.rglob("*.tsv"):
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))


@pytest.mark.parametrize(
    "change",
    [
        lambda run: (run / "accuracy.json").unlink(),
        lambda run: (run / "predictions.csv").unlink(),
        lambda run: (run / SERIES).unlink(),
        lambda run: (run / SERIES).write_text("step\taccuracy\n1\t0.5\n"),
        shorten_all_series,
        lambda run: write_run(run.parent.parent, run.name, epochs=3),
        lambda run: (run / "made_by").unlink(),
        lambda run: shutil.copy(run.parent / "width-1/made_by", run),
    ],
    ids=[
        "no accuracy",
        "no predictions",
        "a series is missing",
        "a series is shorter",
        "all series are shorter",
        "all series are longer",
        "no hash",
        "hash of another run",
    ],
)
def test_run_that_is_unfinished_or_of_other_settings_is_left_out(
    change: Callable[[Path], object], tmp_path: Path
) -> None:
    write_run(tmp_path, "width-1", train__seed=1)
    change(write_run(tmp_path, "width-2", train__seed=2))
    assert finished_seeds(tmp_path, width=[1, 2]) == {"width": [1]}


@pytest.mark.parametrize("change", ["# 0123  src/cifar2/training/loop.py\n", "\n"])
def test_result_of_former_settings_or_code_stays_and_is_left_out(
    change: str, tmp_path: Path
) -> None:
    """Each byte of the settings file counts; the checksums of the code are in its comments."""
    run = write_run(tmp_path, "width-1")
    before = contents(run)
    path = tmp_path / "settings/evaluate/width-1.yaml"
    former = path.read_bytes()
    path.write_bytes(former + change.encode())
    assert finished_seeds(tmp_path, width=[1]) == {}
    assert contents(run) == before
    path.write_bytes(former)
    assert finished_seeds(tmp_path, width=[1]) == {"width": [1]}


@pytest.mark.parametrize(
    ("name", "content"),
    [("predictions.csv", "x\n1\n"), ("accuracy.json", "{}"), (SERIES, "step\taccuracy\n1\tx\n")],
)
def test_damaged_result_is_named(name: str, content: str, tmp_path: Path) -> None:
    path = write_run(tmp_path, "width-1") / name
    path.write_text(content)
    with pytest.raises(FileError) as caught:
        finished(tmp_path, width=[1])
    assert str(caught.value).startswith(f"{path}: damaged (")


# Runs in memory


def run(scores: Accuracy | float = 0.5, right: int = 5, actual: str = "", **changes: Any) -> Run:
    """Return a run; `actual` has the classes of the images, two words."""
    accuracy = scores if isinstance(scores, Accuracy) else some_accuracy(scores)
    usual = {"model__name": "net", "model__n_chans1": 32, "train__epochs": 2}
    predictions = some_predictions(right, *[actual.split()] if actual else [])
    return Run(settings(**usual | changes), {}, accuracy, predictions)


def test_data_is_described_with_its_classes_and_its_fold() -> None:
    usual = {"a": {1: run(), 2: run(0.9, right=9)}, "b": {1: run()}}
    apart = {"a": {1: run(data__holdout=0.2, data__fold=3)}}
    assert summary.describe_data(usual) == "cifar10 (airplane, bird)"
    assert summary.describe_data(apart) == "cifar10 (airplane, bird), fold 3 of 0.2 as val"
    assert [summary.has_holdout(runs) for runs in (usual, apart)] == [False, True]


@pytest.mark.parametrize(
    "other",
    [
        run(some_accuracy(0.5, dataset="synthetic")),
        run(actual="bird airplane"),
        run()._replace(predictions=some_predictions(5)[:9]),
    ],
    ids=["data set", "order", "fewer"],
)
def test_run_on_other_images_is_named(other: Run) -> None:
    with pytest.raises(UserError) as caught:
        summary.describe_data({"a": {1: run(), 2: run()}, "b": {1: run(), 3: other}})
    assert str(caught.value) == "b-3 was evaluated on different images from the other runs"


@pytest.mark.parametrize(
    ("classes", "changes", "parameters"),
    [
        ("airplane bird", {"model__name": "netwidth"}, 38_386),
        ("airplane bird", {"model__name": "netresdeep", "model__n_blocks": 100}, 994_530),
        ("airplane bird", {"model__kernel_size": 5}, 20_906),
        ("airplane bird cat dog deer", {}, 18_090 + 3 * 33),
    ],
)
def test_parameters_are_those_of_the_network_with_its_settings_and_classes(
    classes: str, changes: dict[str, Any], parameters: int
) -> None:
    one = run(some_accuracy(0.5, classes.split()), **changes)
    assert summary.summarise({"a": {1: one}})["a"].parameters == parameters


def test_summary_as_json_has_mean_and_sample_standard_deviation_in_exact_bytes() -> None:
    """The results in Git rely on them."""
    runs = {"a": {1: run(0.9), 2: run(0.95), 3: run(0.92)}, "b": {1: run(0.5, train__epochs=30)}}
    spread = '{"mean": 0.923333, "std": 0.025166, "seeds": [0.9, 0.95, 0.92]}'
    single = '{"mean": 0.5, "std": null, "seeds": [0.5]}'
    assert json.dumps(summary.to_json(summary.summarise(runs))) == (
        f'{{"a": {{"train": {spread}, "val": {spread}, "parameters": 18090, "epochs": 2}},'
        f' "b": {{"train": {single}, "val": {single}, "parameters": 18090, "epochs": 30}}}}'
    )


def test_accuracies_on_test_are_in_the_results_and_the_table_where_there_are_some() -> None:
    tested = [run(some_accuracy(val, test=some_accuracy(0.5).val)) for val in (1, 0)]
    summarised = summary.summarise({"a": dict(enumerate(tested, start=1)), "b": {1: run()}})
    content: Any = summary.to_json(summarised)
    assert content["a"]["test"] == {"mean": 0.5, "std": 0.0, "seeds": [0.5, 0.5]}
    assert "test" not in content["b"]
    lines = summary.format_table(summarised, {}).splitlines()
    assert lines[0] == "| variant | parameters | epochs | seeds | train | val | test |" + (
        " the book's train, val |"
    )
    assert len({line.count("|") for line in lines}) == 1
    assert "| 0.5000 ± 0.7071 | 0.5000 ± 0.0000 |" in lines[2]


def test_answers_are_marked_for_each_seed_and_image() -> None:
    marks = summary.mark_answers({"a": {1: run(right=3), 2: run(right=10)}, "b": {1: run(right=0)}})
    counts = {name: [sum(seed) for seed in seeds] for name, seeds in marks.items()}
    assert counts == {"a": [3, 10], "b": [0]}
    assert marks["a"][0].dtype == np.bool_
    assert marks["a"][0].tolist() == 3 * [True] + 7 * [False]


def test_table_has_exact_text() -> None:
    spreads = {"train": (0.92334, 0.00251), "val": (0.9, 0.0)}
    several = {k: Spread(mean=m, std=s, seeds=[0.9, 0.9, 0.9]) for k, (m, s) in spreads.items()}
    one = Spread(mean=0.86, std=None, seeds=[0.86])
    results = {
        "baseline": Result(**several, parameters=18090, epochs=100),
        "deep": Result(train=one, val=one, parameters=994530, epochs=3),
    }
    book = {"baseline": Accuracies(train=0.93, val=0.9), "other": Accuracies(train=1, val=1)}
    assert summary.format_table(results, book) == (
        "| variant | parameters | epochs | seeds | train | val | the book's train, val |\n"
        "|---|---:|---:|---:|---:|---:|---:|\n"
        "| `baseline` | 18,090 | 100 | 3 | 0.9233 ± 0.0025 | 0.9000 ± 0.0000 | 0.93, 0.90 |\n"
        "| `deep` | 994,530 | 3 | 1 | 0.8600 | 0.8600 |  |\n"
    )


def test_table_of_trials_leaves_out_the_deviation_of_a_single_fold() -> None:
    table = summary.format_trials({"a": {2: run(0.5)}})
    assert table == "trial,epochs,accuracy,std,loss,2\na,2,0.5,,1.0,0.5\n"
