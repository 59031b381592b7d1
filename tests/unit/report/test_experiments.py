"""The table of experiments: what is beside what, what is left out, and how wide it is."""

from typing import Any

from cifar2.report.experiments import SETTINGS, table

ROW: dict[str, Any] = {  # as `dvc.api.exp_show` has it
    "Experiment": None, "rev": "main", "State": None, "dataset": "cifar10", "data.holdout": 0.0,
    "train.accuracy": 0.95, "train.loss": 0.1, "val.accuracy": 0.9, "test.accuracy": "None",
    "model.name": "net", "train.lr": 0.01, "data/cifar2": "a", "stages/train.py": "b",
}  # fmt: skip


def row(name: str, val: float | None, **changes: Any) -> dict[str, Any]:
    return ROW | {"Experiment": name, "val.accuracy": val, "train.loss": 0.2} | changes


def test_best_val_is_first_among_those_with_results_on_the_same_images() -> None:
    """One that has just ended is still in DVC's list of those that run."""
    rows = [
        row("held", 0.7, **{"data/cifar2": "b", "data.holdout": 0.2, "test.accuracy": 0.91}),
        row("others", 0.8, **{"data/cifar2": "c"}),  # with the same settings
        row("failed", 0.99, State="Failed", **{"model.name": "vgg"}),
        dict.fromkeys(ROW) | {"Experiment": "better", "State": "Running"},
        row("better", 0.92, **{"train.lr": 0.03, "train.grey": 7}),  # a metric, not a setting
    ]
    text = table([ROW, *rows], "data/cifar2")
    assert [" ".join(line.split()) for line in text.splitlines()] == [
        "experiment model lr train val test",
        "dataset cifar10, data.holdout 0:",
        "better net 0.03 0.9500 0.9200 -",
        "main net 0.01 0.9500 0.9000 -",
        "dataset cifar10, data.holdout 0:",
        "others net 0.01 0.9500 0.8000 -",
        "dataset cifar10, data.holdout 0.2:",
        "held net 0.01 0.9500 0.7000 0.9100",
        "no results:",
        "failed vgg 0.01 failed",
    ]


def test_table_is_narrow_and_says_what_it_leaves_out() -> None:
    keys = sorted(key for key in SETTINGS if not key.startswith("data."))
    rows = [row("a" * 50, 0.5, **dict.fromkeys(keys, value)) for value in "xy"]
    rows[1]["Experiment"] = "b"
    text = table(rows, "data/cifar2")
    *_, last = lines = text.splitlines()
    assert max(map(len, lines)) <= 100 and f"{'a' * 31}…" in text
    assert " more settings differ: model." in last and last.endswith("…")
