"""Results of runs on disk and in memory, for tests, without a training."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cifar2.report import results
from cifar2.report.results import Accuracy, ClassScores, Prediction, Scores
from cifar2.report.series import QUANTITIES
from tests.conftest import write

EPOCHS = 2
CLASSES = ("airplane", "bird")


def some_accuracy(value: float, classes: Sequence[str] = CLASSES, **changes: Any) -> Accuracy:
    """Return scores whose accuracies are all `value`, and whose losses are 1."""
    val = ClassScores(accuracy=value, loss=1, per_class=dict.fromkeys(classes, value))
    train = Scores(accuracy=value, loss=1)
    usual: dict[str, Any] = {"dataset": "cifar10", "model": "net", "train": train, "val": val}
    return Accuracy(**usual | changes)


def some_predictions(right: int, classes: Sequence[str] = CLASSES) -> list[Prediction]:
    """Return predictions for ten images, of which the first ones are right."""
    return [
        Prediction(image, actual, actual if image < right else other, 0.9)
        for image in range(10)
        for other, actual in [classes if image % 2 else classes[::-1]]
    ]


def write_run(
    zoo: Path,
    name: str,
    right: int = 9,
    *,
    epochs: int = EPOCHS,
    dataset: str = "cifar10",
    classes: Sequence[str] = CLASSES,
    **settings: Any,
) -> Path:
    """Write the settings and the results of a run; return the folder of its results.

    Args:
        right: how many of the ten images it answers right.
        epochs: how many are in its series; its settings have EPOCHS.
    """
    folder = zoo / "runs" / name
    settings_file = zoo / "settings/evaluate" / f"{name}.yaml"
    settings_file.parent.mkdir(parents=True, exist_ok=True)
    write(settings_file, **{"model__name": "net", "train__epochs": EPOCHS} | settings)
    scores = some_accuracy(right / 10, classes, dataset=dataset)
    results.write_accuracy(folder / "accuracy.json", scores)
    results.write_predictions(folder / "predictions.csv", some_predictions(right, classes))
    for place, quantity in enumerate(QUANTITIES):
        table = folder / "training/plots/metrics" / f"{quantity.replace('_', '/')}.tsv"
        table.parent.mkdir(parents=True, exist_ok=True)
        name = quantity.partition("_")[2]
        lines = [f"{epoch}\t{right / 10 + place}\n" for epoch in range(1, epochs + 1)]
        table.write_text(f"step\t{name}\n" + "".join(lines))
    mark(zoo, folder.name)
    return folder


def mark(zoo: Path, name: str) -> None:
    """Say of a run's results that its present settings made them, as `evaluate` does."""
    settings = (zoo / "settings/evaluate" / f"{name}.yaml").read_bytes()
    (zoo / "runs" / name / "made_by").write_text(f"{hashlib.md5(settings).hexdigest()}\n")
