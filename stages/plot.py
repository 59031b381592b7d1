"""Draw loss and accuracy per epoch, and the worst mistakes."""

import json
from pathlib import Path

import _stage
import _table

from cifar2 import UserError, files

REMEDY = "`dvc repro -f` makes it anew"


def main(
    data: Path,
    history: Path,
    accuracy: Path,
    predictions: Path,
    loss_plot: Path,
    accuracy_plot: Path,
    mistakes_plot: Path,
) -> None:
    from cifar2 import dataset, plotting

    val = dataset.load(data / "val.pt")
    with _table.reading(accuracy, REMEDY):
        result = json.loads(accuracy.read_bytes())
        figures = {name: dict(result[name]) for name in ("train", "val")}
        subject = f"{result['model']} on {result['dataset']} ({', '.join(val.classes)})"
    for quantity, path in (("loss", loss_plot), ("accuracy", accuracy_plot)):
        train_series, val_series = (
            column(history / f"plots/metrics/{name}/{quantity}.tsv", quantity)
            for name in ("train", "val")
        )
        if len(train_series) != len(val_series):
            raise UserError(f"{history}: its series differ in length; `dvc repro -f` makes it anew")
        with _table.reading(accuracy, REMEDY):
            final = ", ".join(f"{name} {figures[name][quantity]:.4f}" for name in figures)
        label = "cross-entropy loss (nats)" if quantity == "loss" else quantity
        title = f"{subject}\n{quantity} of the trained network: {final}"
        files.write(path, plotting.curves(train_series, val_series, label, title))

    with _table.reading(predictions, REMEDY):
        table = [
            plotting.Prediction(
                range(len(val.images))[int(row["image"])],
                row["actual"],
                row["predicted"],
                float(row["confidence"]),
            )
            for row in _table.rows(predictions, ",")
        ]
    files.write(mistakes_plot, plotting.mistakes(table, val.images.numpy(), subject))


def column(path: Path, name: str) -> list[float]:
    with _table.reading(path, REMEDY):
        return _table.column(path, name)


if __name__ == "__main__":
    _stage.run(
        main,
        __doc__,
        data="the folder of val.pt",
        history="the series per epoch",
        accuracy="the accuracies and losses, JSON",
        predictions="the prediction for every val image, CSV",
        loss_plot="the picture to draw of the loss",
        accuracy_plot="the picture to draw of the accuracy",
        mistakes_plot="the picture to draw of the worst mistakes",
    )
