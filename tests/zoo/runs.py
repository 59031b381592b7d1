"""Results of runs on disk and in memory, for tests, without a training."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cifar2.report import results
from cifar2.report.results import Accuracy, ClassScores, Prediction, Scores
from cifar2.report.series import QUANTITIES
from tests.conftest import write

CLASSES = ("airplane", "bird")


def some_accuracy(
    value: float, classes: Sequence[str] = CLASSES, train: float | None = None, **changes: Any
) -> Accuracy:
    """Return scores whose accuracies are all `value`, but for `train`, and whose losses are 1."""
    val = ClassScores(accuracy=value, loss=1, per_class=dict.fromkeys(classes, value))
    of_train = Scores(accuracy=value if train is None else train, loss=1)
    usual: dict[str, Any] = {"dataset": "cifar10", "model": "net", "train": of_train, "val": val}
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
    epochs: int = 2,
    dataset: str = "cifar10",
    classes: Sequence[str] = CLASSES,
    **settings: Any,
) -> Path:
    """Write the settings, of two epochs, and the results of a run; return those' folder.

    Args:
        right: how many of the ten images it answers right.
        epochs: how many are in its series.
    """
    folder, settings_file = zoo / "runs" / name, zoo / "settings/evaluate" / f"{name}.yaml"
    settings_file.parent.mkdir(parents=True, exist_ok=True)
    write(settings_file, **{"model__name": "net", "train__epochs": 2} | settings)
    scores = some_accuracy(right / 10, classes, dataset=dataset)
    results.write_accuracy(folder / "accuracy.json", scores)
    results.write_predictions(folder / "predictions.csv", some_predictions(right, classes))
    for place, quantity in enumerate(QUANTITIES):
        table = folder / "training/plots/metrics" / f"{quantity.replace('_', '/')}.tsv"
        table.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{epoch}\t{right / 10 + place}\n" for epoch in range(1, epochs + 1)]
        table.write_text(f"step\t{table.stem}\n" + "".join(lines))
    made_by = hashlib.md5(settings_file.read_bytes()).hexdigest()
    (folder / "made_by").write_text(f"{made_by}\n")
    return folder


def write_on_folds(zoo: Path, name: str, right: int) -> Path:
    """Write the settings and the results of four trainings on two folds of ten images.

    Args:
        right: how many of the images they answer right.
    """
    folder, path = zoo / f"runs/{name}-folds", zoo / f"settings/evaluate/{name}-folds.yaml"
    for each in (folder, path.parent):
        each.mkdir(parents=True, exist_ok=True)
    written = write(path, model__name="net", train__epochs=2)
    written.write_text(f"{written.read_text()}folds: {{folds: 2, seeds: 2}}\n")
    rows = [f"{image % 2},{p},{p}" for image in range(10) for p in [0.9 if image < right else 0.1]]
    (folder / "answers.csv").write_text("\n".join(["fold,probabilities", *rows, ""]))
    rows = [f"{seed},{(seed - 1) % 2},{right / 10},1.0,hash" for seed in (1, 2, 3, 4)]
    (folder / "trainings.csv").write_text("\n".join(["seed,fold,accuracy,loss,weights", *rows, ""]))
    (folder / "made_by").write_text(hashlib.md5(written.read_bytes()).hexdigest())
    return folder
