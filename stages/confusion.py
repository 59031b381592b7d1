"""Draw what a trained network takes for what."""

import json
from pathlib import Path

import _stage
import _table

from cifar2 import files

REMEDY = "remove it, then `make zoo`"


def main(accuracy: Path, predictions: Path, confusion_plot: Path) -> None:
    import numpy as np

    from cifar2 import plotting

    with _table.reading(accuracy, REMEDY):
        result = json.loads(accuracy.read_bytes())
        classes = list(result["val"]["per_class"])
        title = f"{result['model']} on {result['dataset']}: "
        title += f"val accuracy {result['val']['accuracy']:.4f}"
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    with _table.reading(predictions, REMEDY):
        for row in _table.rows(predictions, ","):
            counts[classes.index(row["actual"]), classes.index(row["predicted"])] += 1
    files.write(confusion_plot, plotting.confusion(classes, counts, title))


if __name__ == "__main__":
    _stage.run(
        main,
        __doc__,
        accuracy="the accuracies, JSON",
        predictions="the prediction for every val image, CSV",
        confusion_plot="the picture to draw",
    )
