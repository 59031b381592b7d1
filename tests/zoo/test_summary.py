"""Which runs are finished, and the summaries over their seeds."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cifar2 import params
from cifar2.errors import FileError, UserError
from cifar2.report.results import Accuracy
from cifar2.report.series import QUANTITIES
from tests.unit.settings import settings
from tests.zoo.runs import some_accuracy, some_predictions, write_run
from zoo import summary
from zoo.summary import Run
from zoo.variants import Accuracies


def finished(zoo: Path, seeds: list[int]) -> dict[int, Run]:
    """Return the finished runs of `width`."""
    found = summary.finished_runs(zoo / "settings/evaluate", zoo / "runs", {"width": seeds})
    return found["width"]


def test_finished_run_is_read_whole(tmp_path: Path) -> None:
    write_run(tmp_path, "width-3", right=8)
    read = params.load(tmp_path / "settings/evaluate/width-3.yaml")
    series = {name: 2 * [0.8 + place] for place, name in enumerate(QUANTITIES)}
    expected = Run(read, series, some_accuracy(0.8), some_predictions(8))
    assert finished(tmp_path, [3]) == {3: expected}


SERIES = "training/plots/metrics/train/accuracy.tsv"
CHANGES: dict[str, Callable[[Path], object]] = {
    "no accuracy": lambda run: (run / "accuracy.json").unlink(),
    "a series is missing": lambda run: (run / SERIES).unlink(),
    "a series is shorter": lambda run: (run / SERIES).write_text("step\taccuracy\n1\t0.5\n"),
    "all series are shorter": lambda run: write_run(run.parent.parent, run.name, epochs=1),
    "no hash": lambda run: (run / "made_by").unlink(),
    "hash of another run": lambda run: shutil.copy(run.parent / "width-1/made_by", run),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_run_that_is_unfinished_or_of_other_settings_is_left_out(
    change: Callable[[Path], object], tmp_path: Path
) -> None:
    write_run(tmp_path, "width-1", train__seed=1)
    change(write_run(tmp_path, "width-2", train__seed=2))
    assert finished(tmp_path, [1, 2]).keys() == {1}


def test_damaged_result_is_an_error(tmp_path: Path) -> None:
    (write_run(tmp_path, "width-1") / "accuracy.json").write_text("{}")
    with pytest.raises(FileError, match=r"width-1/accuracy\.json: damaged \("):
        finished(tmp_path, [1])


def run(scores: Accuracy | float = 0.5, actual: str = "airplane bird", **changes: Any) -> Run:
    """Return a run in memory; `actual` has the classes of the images, two words."""
    accuracy = scores if isinstance(scores, Accuracy) else some_accuracy(scores)
    usual = {"model__name": "net", "model__n_chans1": 32, "train__epochs": 2}
    return Run(settings(**usual | changes), {}, accuracy, some_predictions(5, actual.split()))


def test_data_is_described_with_its_classes_and_its_fold() -> None:
    apart = run(data__holdout=0.2, data__fold=3)
    assert summary.describe_data({"a": {1: run(), 2: run(0.9)}}) == "cifar10 (airplane, bird)"
    fold = "cifar10 (airplane, bird), fold 3 of 0.2 as val"
    assert summary.describe_data({"a": {1: apart}}) == fold


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


def test_summary_has_exact_bytes_as_json_and_as_table() -> None:
    """The results in Git rely on them. Standard deviations are those of samples."""
    tested = [some_accuracy(val, test=some_accuracy(0.5).val) for val in (0.9, 0.95, 0.92)]
    five = some_accuracy(0.5, ["airplane", "bird", "cat", "dog", "deer"])
    deep = run(five, model__name="netresdeep", model__n_blocks=100, train__epochs=30)
    a = {seed: run(scores) for seed, scores in enumerate(tested, start=1)}
    summarised = summary.summarise({"a": a, "b": {1: deep}})
    spread = {"mean": 0.923333, "std": 0.025166, "seeds": [0.9, 0.95, 0.92]}
    test = {"mean": 0.5, "std": 0.0, "seeds": [0.5, 0.5, 0.5]}
    single = {"mean": 0.5, "std": None, "seeds": [0.5]}
    content = {
        "a": {"train": spread, "val": spread, "test": test, "parameters": 18090, "epochs": 2},
        "b": {"train": single, "val": single, "parameters": 994530 + 3 * 33, "epochs": 30},
    }
    assert summary.to_json(summarised) == json.dumps(content, indent=2) + "\n"
    book = {"a": Accuracies(train=0.93, val=0.9), "other": Accuracies(train=1, val=1)}
    mean = "0.9233 ± 0.0252"
    assert summary.format_table(summarised, book) == (
        "| variant | parameters | epochs | seeds | train | val | test | the book's train, val |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|\n"
        f"| `a` | 18,090 | 2 | 3 | {mean} | {mean} | 0.5000 ± 0.0000 | 0.93, 0.90 |\n"
        "| `b` | 994,629 | 30 | 1 | 0.5000 | 0.5000 |  |  |\n"
    )
