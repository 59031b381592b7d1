"""Draw the curves, the worst mistakes and the surest answers; write the model card."""

from pathlib import Path

from cifar2 import files, params
from cifar2.errors import FileError

HELP = {
    "settings": "the settings file",
    "data": "the folder of train.pt and val.pt",
    "whole_val": "CIFAR-10's test images of all classes",
    "history": "the series per epoch",
    "accuracy": "the accuracies and losses, JSON",
    "predictions": "the prediction for every val image, CSV",
    "others": "what the network says of the classes that it does not know, CSV",
    "surest": "the surest answers about these classes, CSV",
    "data_plot": "the picture to draw of images of each class",
    "loss_plot": "the picture to draw of the loss",
    "accuracy_plot": "the picture to draw of the accuracy",
    "mistakes_plot": "the picture to draw of the worst mistakes",
    "surest_plot": "the picture to draw of the surest answers",
    "card": "the model card to write, Markdown",
}


def main(
    settings: Path,
    data: Path,
    whole_val: Path,
    history: Path,
    accuracy: Path,
    predictions: Path,
    others: Path,
    surest: Path,
    data_plot: Path,
    loss_plot: Path,
    accuracy_plot: Path,
    mistakes_plot: Path,
    surest_plot: Path,
    card: Path,
) -> None:
    run = params.load(settings)
    from cifar2.data import dataset
    from cifar2.report import card as cards
    from cifar2.report import plotting, results, series

    train, val = dataset.load(data / "train.pt"), dataset.load(data / "val.pt")
    whole = dataset.load(whole_val)
    epochs = series.read(history)
    scores = results.read_accuracy(accuracy)
    answers = results.read_predictions(predictions)
    about_others = results.read_others(others)
    surest_answers = results.read_some_predictions(surest)
    if len(answers) != len(val.labels):
        raise FileError(predictions, f"it has {len(answers)} images, {data} has {len(val.labels)}")
    if any(not 0 <= each.image < len(whole.images) for each in surest_answers):
        raise FileError(surest, f"it has other images than {whole_val}")
    parts = {"train": scores.train, "val": scores.val, "test": scores.test}
    data_set = "THE STAND-IN, NOT CIFAR-10" if scores.dataset == "synthetic" else scores.dataset
    subject = f"{scores.model} on {data_set} ({', '.join(val.classes)})"

    def draw(path: Path, quantity: str, label: str) -> None:
        final = [f"{name} {getattr(each, quantity):.4f}" for name, each in parts.items() if each]
        title = f"{subject}\n{quantity} of the trained network: {', '.join(final)}"
        train, val = epochs[f"train_{quantity}"], epochs[f"val_{quantity}"]
        files.write(path, plotting.curves(train, val, label, title))

    draw(loss_plot, "loss", "cross-entropy loss (nats)")
    draw(accuracy_plot, "accuracy", "accuracy")
    seen = f"{data_set}: train images of {train.preparation.size}×{train.preparation.size} pixels"
    shown = plotting.samples(train.images.numpy(), train.labels.numpy(), train.classes, seen)
    files.write(data_plot, shown)
    files.write(mistakes_plot, plotting.mistakes(answers, val.images.numpy(), subject))
    files.write(surest_plot, plotting.surest(surest_answers, whole.images.numpy(), subject))
    own = None if val.preparation == dataset.CIFAR10 else val.preparation
    text = cards.card(run, [scores], [run.train.seed], about_others, own)
    files.write(card, text.encode())
