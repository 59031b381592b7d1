"""Draw loss and accuracy per epoch, and the worst mistakes."""

import csv
import json
from pathlib import Path

import _stage

from cifar2 import files


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

    result = json.loads(accuracy.read_bytes())
    val = dataset.load(data / "val.pt")
    subject = f"{result['model']} on {result['dataset']} ({', '.join(val.classes)})"
    for quantity, path in (("loss", loss_plot), ("accuracy", accuracy_plot)):
        train_series, val_series = (
            _column(history / f"plots/metrics/{name}/{quantity}.tsv", quantity)
            for name in ("train", "val")
        )
        final = ", ".join(f"{name} {result[name][quantity]:.4f}" for name in ("train", "val"))
        label = "cross-entropy loss (nats)" if quantity == "loss" else quantity
        title = f"{subject}\n{quantity} of the trained network: {final}"
        files.write(path, plotting.curves(train_series, val_series, label, title))

    with open(predictions, newline="") as file:
        table = [
            plotting.Prediction(
                int(row["image"]), row["actual"], row["predicted"], float(row["confidence"])
            )
            for row in csv.DictReader(file)
        ]
    files.write(mistakes_plot, plotting.mistakes(table, val.images.numpy(), subject))


def _column(path: Path, name: str) -> list[float]:
    with open(path, newline="") as file:
        return [float(row[name]) for row in csv.DictReader(file, delimiter="\t")]


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
