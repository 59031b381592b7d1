"""Draw how many images of each class a trained network predicts as which class."""

from pathlib import Path

from cifar2 import files
from cifar2.errors import FileError

MISSING = "`make zoo` makes it"
DAMAGED = "remove it, then run `make zoo`"
HELP = {
    "accuracy": "the accuracies, JSON",
    "predictions": "the prediction for every val image, CSV",
    "confusion_plot": "the picture to draw",
}


def main(accuracy: Path, predictions: Path, confusion_plot: Path) -> None:
    import numpy as np

    from cifar2.report import results
    from zoo import plotting

    scores = results.read_accuracy(accuracy)
    classes = scores.classes
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for each in results.read_predictions(predictions):
        for name in (each.actual, each.predicted):
            if name not in classes:
                raise FileError(predictions, f"unknown class {name!r}")
        counts[classes.index(each.actual), classes.index(each.predicted)] += 1
    title = f"{scores.model} on {scores.dataset}: val accuracy {scores.val.accuracy:.4f}"
    files.write(confusion_plot, plotting.confusion(classes, counts, title))
