"""Draw which class a trained network predicts for the images of which."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for where PYTHONSAFEPATH is set

import _stage

from cifar2 import files
from cifar2.errors import FileError


def main(accuracy: Path, predictions: Path, confusion_plot: Path) -> None:
    import numpy as np

    from cifar2.report import plotting, results

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


if __name__ == "__main__":
    _stage.run(
        main,
        __doc__,
        missing="`make zoo` makes it",
        damaged="remove it, then run `make zoo`",
        accuracy="the accuracies, JSON",
        predictions="the prediction for every val image, CSV",
        confusion_plot="the picture to draw",
    )
