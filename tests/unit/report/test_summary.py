"""What several seeds of each variant come to."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cifar2.training.series import Epoch

from cifar2 import params
from cifar2.errors import FileError, UserError
from cifar2.report import results, summary
from cifar2.report.results import Accuracy, ClassScores, Prediction, Scores
from cifar2.report.summary import Result, Run, Spread
from cifar2.variants import Accuracies
from tests.conftest import write
from tests.unit.settings import settings

EPOCHS = [Epoch(1, 0.75, 0.5, 0.7, 0.55), Epoch(2, 0.5, 0.75, 0.6, 0.65)]
ACTUAL = ["bird", "airplane", "bird", "airplane"]


def accuracy(
    train: float = 0.75, val: float = 0.5, dataset: str = "cifar10", classes: str = "airplane bird"
) -> Accuracy:
    return Accuracy(
        dataset=dataset,
        model="net",
        train=Scores(accuracy=train, loss=0.5),
        val=ClassScores(accuracy=val, loss=0.6, per_class=dict.fromkeys(classes.split(), val)),
    )


def predictions(right: str = "yyny", actual: list[str] = ACTUAL) -> list[Prediction]:
    """Return predictions that are right where there is a y."""
    return [
        Prediction(index, name, name if answer == "y" else "frog", 0.75)
        for index, (name, answer) in enumerate(zip(actual, right, strict=True))
    ]


# Runs on disk


def write_run(folder: Path, name: str, epochs: int = 2) -> Path:
    """Write the settings of a run, and all that it leaves; return its folder of results."""
    (folder / "settings").mkdir(exist_ok=True)
    write(folder / "settings" / f"{name}.yaml", train__epochs=epochs)
    run = folder / "runs" / name
    for part in ("train", "val"):
        path = run / "training" / "plots" / "metrics" / part
        path.mkdir(parents=True)
        for quantity in ("loss", "accuracy"):
            rows = [f"{e.epoch}\t{getattr(e, f'{part}_{quantity}')}\n" for e in EPOCHS]
            (path / f"{quantity}.tsv").write_text(f"step\t{quantity}\n" + "".join(rows))
    results.write_accuracy(run / "accuracy.json", accuracy())
    results.write_predictions(run / "predictions.csv", predictions())
    return run


def finished(folder: Path, **seeds: list[int]) -> summary.Runs:
    return summary.finished_runs(folder / "settings", folder / "runs", seeds)


def test_finished_run_is_read_whole(tmp_path: Path) -> None:
    write_run(tmp_path, "width-3")
    expected = Run(
        params.load(tmp_path / "settings" / "width-3.yaml"), EPOCHS, accuracy(), predictions()
    )
    assert finished(tmp_path, width=[3]) == {"width": {3: expected}}


def test_runs_are_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    for name in ("a-1", "a-2", "b-1"):
        write_run(tmp_path, name)
    found = finished(tmp_path, b=[1], a=[2, 1])
    assert [(variant, list(seeds)) for variant, seeds in found.items()] == [
        ("b", [1]),
        ("a", [2, 1]),
    ]


def test_run_that_is_not_asked_for_is_left_out(tmp_path: Path) -> None:
    for name in ("a-1", "a-2", "b-1"):
        write_run(tmp_path, name)
    assert {name: list(seeds) for name, seeds in finished(tmp_path, a=[2]).items()} == {"a": [2]}


def remove_accuracy(run: Path) -> None:
    (run / "accuracy.json").unlink()


def remove_predictions(run: Path) -> None:
    (run / "predictions.csv").unlink()


def remove_a_series(run: Path) -> None:
    (run / "training" / "plots" / "metrics" / "train" / "accuracy.tsv").unlink()


def remove_all_series(run: Path) -> None:
    for path in (run / "training").rglob("*.tsv"):
        path.unlink()
    for path in sorted((run / "training").rglob("*"), reverse=True):
        path.rmdir()


def shorten_a_series(run: Path) -> None:
    (run / "training" / "plots" / "metrics" / "val" / "loss.tsv").write_text("step\tloss\n")


def shorten_all_series(run: Path) -> None:
    for path in (run / "training").rglob("*.tsv"):
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))


@pytest.mark.parametrize(
    "change",
    [
        remove_accuracy,
        remove_predictions,
        remove_a_series,
        remove_all_series,
        shorten_a_series,
        shorten_all_series,
    ],
)
def test_unfinished_run_is_left_out(change: Callable[[Path], None], tmp_path: Path) -> None:
    """It may still have an accuracy of former settings."""
    write_run(tmp_path, "width-1")
    change(write_run(tmp_path, "width-2"))
    found = finished(tmp_path, width=[1, 2])
    assert {name: list(seeds) for name, seeds in found.items()} == {"width": [1]}


def test_run_with_more_epochs_than_its_settings_is_left_out(tmp_path: Path) -> None:
    write_run(tmp_path, "width-1", epochs=1)
    assert finished(tmp_path, width=[1]) == {}


def test_variant_without_a_finished_run_is_left_out(tmp_path: Path) -> None:
    write_run(tmp_path, "width-1")
    assert list(finished(tmp_path, deep=[1, 2], width=[1], wide=[])) == ["width"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("predictions.csv", "x\n1\n"),
        ("accuracy.json", "{}"),
        ("training/plots/metrics/val/loss.tsv", "step\tloss\n1\tx\n2\tx\n"),
    ],
)
def test_damaged_result_is_named(name: str, content: str, tmp_path: Path) -> None:
    path = write_run(tmp_path, "width-1") / name
    path.write_text(content)
    with pytest.raises(FileError) as caught:
        finished(tmp_path, width=[1])
    assert str(caught.value).startswith(f"{path}: damaged (")


# Runs in memory


PREDICTIONS = predictions()


def run(accuracy: Accuracy, predictions: list[Prediction] = PREDICTIONS, **changes: Any) -> Run:
    usual = {"model__name": "net", "model__n_chans1": 32, "train__epochs": 2}
    return Run(settings(**usual | changes), EPOCHS, accuracy, predictions)


def test_data_is_named_with_its_classes() -> None:
    assert summary.data_of({"a": {1: run(accuracy())}}) == "cifar10 (airplane, bird)"


def test_runs_on_the_same_images_are_accepted() -> None:
    other = run(accuracy(val=0.9), predictions("nyyy"))
    runs = {"a": {1: run(accuracy()), 2: other}, "b": {1: other}}
    assert summary.data_of(runs) == "cifar10 (airplane, bird)"


@pytest.mark.parametrize(
    "other",
    [
        run(accuracy(dataset="synthetic")),
        run(accuracy(), predictions(actual=ACTUAL[::-1])),
        run(accuracy(), predictions("yyn", ACTUAL[:3])),
    ],
)
def test_run_on_other_images_is_named(other: Run) -> None:
    runs = {"a": {1: run(accuracy()), 2: run(accuracy())}, "b": {1: run(accuracy()), 3: other}}
    with pytest.raises(UserError) as caught:
        summary.data_of(runs)
    assert str(caught.value) == "b-3 was not measured on the images of the others"


@pytest.mark.parametrize("runs", [{}, {"a": {}}])
def test_no_run_at_all_is_an_error(runs: summary.Runs) -> None:
    with pytest.raises(UserError, match=r"^no run is finished yet$"):
        summary.data_of(runs)


def test_summary_has_mean_and_sample_standard_deviation() -> None:
    seeds = {
        seed: run(accuracy(train, val), train__epochs=30)
        for seed, (train, val) in enumerate([(0.9, 0.8), (0.95, 0.85), (0.92, 0.83)], start=1)
    }
    (result,) = summary.summarise({"a": seeds}).values()
    assert result.train == Spread(mean=0.923333, std=0.025166, seeds=[0.9, 0.95, 0.92])
    assert result.val == Spread(mean=0.826667, std=0.025166, seeds=[0.8, 0.85, 0.83])
    assert result.epochs == 30
    assert result.parameters == 18_090


def test_single_seed_has_no_standard_deviation() -> None:
    (result,) = summary.summarise({"a": {1: run(accuracy(val=0.8))}}).values()
    assert result.val == Spread(mean=0.8, std=None, seeds=[0.8])


@pytest.mark.parametrize(
    ("classes", "changes", "parameters"),
    [
        ("airplane bird", {"model__name": "netwidth"}, 38_386),
        ("airplane bird", {"model__name": "netresdeep", "model__n_blocks": 100}, 994_530),
        ("airplane bird cat dog deer", {}, 18_090 + 3 * 33),
    ],
)
def test_parameters_are_those_of_the_network_with_its_settings_and_classes(
    classes: str, changes: dict[str, Any], parameters: int
) -> None:
    (result,) = summary.summarise({"a": {1: run(accuracy(classes=classes), **changes)}}).values()
    assert result.parameters == parameters


def test_summary_as_json_has_exact_bytes() -> None:
    """The results in Git rely on them."""
    runs = {
        "a": {1: run(accuracy(0.9, 0.8)), 2: run(accuracy(0.95, 0.85))},
        "b": {1: run(accuracy(1, 0.5))},
    }
    summarised = summary.summarise(runs)
    assert json.dumps(summary.as_json(summarised)) == (
        '{"a": {"train": {"mean": 0.925, "std": 0.035355, "seeds": [0.9, 0.95]},'
        ' "val": {"mean": 0.825, "std": 0.035355, "seeds": [0.8, 0.85]},'
        ' "parameters": 18090, "epochs": 2},'
        ' "b": {"train": {"mean": 1.0, "std": null, "seeds": [1.0]},'
        ' "val": {"mean": 0.5, "std": null, "seeds": [0.5]}, "parameters": 18090, "epochs": 2}}'
    )


def test_accuracies_on_test_are_in_the_results_and_the_table_where_there_are_some() -> None:
    held = [accuracy(val=val).model_copy(update={"test": accuracy(val=0.5).val}) for val in (1, 0)]
    summarised = summary.summarise(
        {"a": {1: run(held[0]), 2: run(held[1])}, "b": {1: run(accuracy())}}
    )
    content: Any = summary.as_json(summarised)
    assert content["a"]["test"] == {"mean": 0.5, "std": 0.0, "seeds": [0.5, 0.5]}
    assert "test" not in content["b"]
    lines = summary.table(summarised, {}).splitlines()
    assert lines[0] == "| variant | parameters | epochs | seeds | train | val | test |" + (
        " the book's train, val |"
    )
    assert len({line.count("|") for line in lines}) == 1
    assert "| 0.5000 ± 0.7071 | 0.5000 ± 0.0000 |" in lines[2]


def held(run: Run) -> Run:
    """Return a run whose val images were set apart."""
    data = run.settings.data.model_copy(update={"holdout": 0.2, "fold": 3})
    return run._replace(settings=run.settings.model_copy(update={"data": data}))


def test_data_in_words_says_what_val_is_with_a_holdout() -> None:
    usual = {"a": {1: run(accuracy())}}
    apart = {"a": {1: held(run(accuracy()))}}
    assert summary.data_of(usual) == "cifar10 (airplane, bird)"
    assert summary.data_of(apart) == "cifar10 (airplane, bird), fold 3 of 0.2 as val"
    assert [summary.have_holdout(runs) for runs in (usual, apart)] == [False, True]


def test_table_of_trials_leaves_out_the_deviation_of_a_single_fold() -> None:
    one = {"a": {2: run(accuracy(val=0.5))}}
    assert summary.trials_table(one) == "trial,epochs,accuracy,std,loss,2\na,2,0.5,,0.6,0.5\n"


def test_correct_says_which_images_each_seed_is_right_on() -> None:
    runs = {
        "a": {1: run(accuracy(), predictions("yyny")), 2: run(accuracy(), predictions("nnyy"))},
        "b": {1: run(accuracy(), predictions("nnnn"))},
    }
    correct = summary.correct(runs)
    assert list(correct) == ["a", "b"]
    assert correct["a"].dtype == np.bool_
    assert correct["a"].tolist() == [[True, True, False, True], [False, False, True, True]]
    assert correct["b"].tolist() == [4 * [False]]


def test_drawn_are_accuracies_of_the_trained_networks_and_per_epoch() -> None:
    runs = {"a": {1: run(accuracy(0.9, 0.8)), 3: run(accuracy(0.95, 0.85))}}
    (variant,) = summary.drawn(runs, {})
    assert variant.name == "a"
    assert (variant.train, variant.val) == ([0.9, 0.95], [0.8, 0.85])
    assert variant.curves.tolist() == [2 * [[0.5, 0.75]], 2 * [[0.55, 0.65]]]


def test_drawn_has_the_book_s_accuracies_where_it_prints_some() -> None:
    runs = {"a": {1: run(accuracy())}, "b": {1: run(accuracy())}}
    book = {"b": Accuracies(train=0.93, val=0.89), "c": Accuracies(train=1.0, val=0.9)}
    assert [variant.book for variant in summary.drawn(runs, book)] == [None, (0.93, 0.89)]


def test_table_has_exact_text() -> None:
    results = {
        "baseline": Result(
            train=Spread(mean=0.92334, std=0.00251, seeds=[0.9, 0.92, 0.95]),
            val=Spread(mean=0.9, std=0.0, seeds=[0.9, 0.9, 0.9]),
            parameters=18090,
            epochs=100,
        ),
        "deep": Result(
            train=Spread(mean=1.0, std=None, seeds=[1.0]),
            val=Spread(mean=0.86, std=None, seeds=[0.86]),
            parameters=994530,
            epochs=3,
        ),
    }
    book = {"baseline": Accuracies(train=0.93, val=0.9), "other": Accuracies(train=1, val=1)}
    assert summary.table(results, book) == (
        "| variant | parameters | epochs | seeds | train | val | the book's train, val |\n"
        "|---|---:|---:|---:|---:|---:|---:|\n"
        "| `baseline` | 18,090 | 100 | 3 | 0.9233 ± 0.0025 | 0.9000 ± 0.0000 | 0.93, 0.90 |\n"
        "| `deep` | 994,530 | 3 | 1 | 1.0000 | 0.8600 |  |\n"
    )
