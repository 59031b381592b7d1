"""Draw loss and accuracy per epoch, and the worst mistakes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for where PYTHONSAFEPATH is set

import _stage

from cifar2 import files
from cifar2.errors import FileError


def main(
    data: Path,
    history: Path,
    accuracy: Path,
    predictions: Path,
    loss_plot: Path,
    accuracy_plot: Path,
    mistakes_plot: Path,
) -> None:
    from cifar2.data import dataset
    from cifar2.report import plotting, results
    from cifar2.training import series

    val = dataset.load(data / "val.pt")
    epochs = series.read(history)
    scores = results.read_accuracy(accuracy)
    answers = results.read_predictions(predictions)
    if len(answers) != len(val.labels):
        raise FileError(predictions, f"it has {len(answers)} images, {data} has {len(val.labels)}")
    subject = f"{scores.model} on {scores.dataset} ({', '.join(val.classes)})"

    def draw(path: Path, quantity: str, label: str) -> None:
        final = ", ".join(
            f"{name} {getattr(each, quantity):.4f}"
            for name, each in (("train", scores.train), ("val", scores.val), ("test", scores.test))
            if each
        )
        train = [getattr(epoch, f"train_{quantity}") for epoch in epochs]
        val = [getattr(epoch, f"val_{quantity}") for epoch in epochs]
        title = f"{subject}\n{quantity} of the trained network: {final}"
        files.write(path, plotting.curves(train, val, label, title))

    draw(loss_plot, "loss", "cross-entropy loss (nats)")
    draw(accuracy_plot, "accuracy", "accuracy")
    files.write(mistakes_plot, plotting.mistakes(answers, val.images.numpy(), subject))


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
