"""Measure the trained network: its accuracy, its calibration, its answers about other classes.

The accuracies and losses are of all parts of the data, the predictions and the calibration of the
val images. "Other classes" are those that the network does not know; it is asked about their test
images. What no path is given for is not written.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cifar2 import files, params
from cifar2.errors import FileError, UserError
from cifar2.report import results
from cifar2.report.results import OtherClass, Prediction

if TYPE_CHECKING:
    from torch import Tensor

    from cifar2.data.dataset import Dataset
    from cifar2.inference.checkpoint import Description

HELP = {
    "settings": "the settings file",
    "data": "the folder of train.pt, val.pt, and test.pt if there is one",
    "model": "the state_dict to measure",
    "accuracy": "the JSON file to write the accuracies and losses to",
    "classes": "the JSON file to write balanced accuracy, and precision and F1 of each class to",
    "predictions": "the CSV file to write the prediction for every val image to",
    "calibration": "the JSON file to write the calibration errors and the temperature to",
    "reliability": "the CSV file to write accuracy against confidence to",
    "whole_val": "CIFAR-10's test images of all classes",
    "others": "the CSV file to write a row for each class to that the network does not know",
    "surest": "the CSV file to write the surest answers about these classes to",
    "made_by": "the file to write the MD5 of the settings file to",
}
SUREST = 32  # how many of the surest answers are kept


def main(
    settings: Path,
    data: Path,
    model: Path,
    accuracy: Path | None = None,
    classes: Path | None = None,
    predictions: Path | None = None,
    calibration: Path | None = None,
    reliability: Path | None = None,
    whole_val: Path | None = None,
    others: Path | None = None,
    surest: Path | None = None,
    made_by: Path | None = None,
) -> None:
    signature = hashlib.md5(settings.read_bytes(), usedforsecurity=False).hexdigest()
    run = params.load(settings)
    from cifar2.data import dataset
    from cifar2.inference import checkpoint, device, evaluation
    from cifar2.report import calibration as calibrations

    place = device.prepare(run.train.device, threads=run.train.threads)
    network, description = checkpoint.load(model)
    if description.source == "synthetic":
        print("These results are of the synthetic stand-in, not of CIFAR-10.", file=sys.stderr)
    network.to(place)
    whole = dataset.load(whole_val) if whole_val else None  # before anything is written
    known, mirror = description.classes, run.evaluation.mirror

    def answers(images: Tensor) -> Tensor:
        normalized = dataset.normalize(images.to(place), description.preparation)
        return evaluation.compute_logits(network, normalized, mirror=mirror).cpu()

    if accuracy or classes or predictions or calibration:
        parts = ["train", "val"]
        if run.evaluation.test and (data / "test.pt").exists():  # with a holdout
            parts.append("test")
        measured = {}
        for part in parts:
            images, labels, names, *_ = dataset.load(data / f"{part}.pt")
            if names != known:
                raise FileError(model, f"trained on {known}, but {data} holds {names}")
            measured[part] = answers(images), labels
        logits, labels = measured["val"]
        scores = _scores(description, measured)
        if accuracy:
            results.write_accuracy(accuracy, scores)
        if classes:
            of_classes = {part: evaluation.per_class(*measured[part]) for part in parts[1:]}
            results.write_classes(classes, known, of_classes)
        if predictions:
            actual = [known[label] for label in labels.tolist()]
            results.write_predictions(predictions, _predictions(logits, known, actual))
        if calibration and reliability:
            found = calibrations.measure(logits, labels)
            results.write_calibration(calibration, reliability, found)
    if whole:
        rows, highest_first = _about_others(whole, known, answers)
        if others:
            results.write_others(others, rows, known)
        if surest:
            results.write_predictions(surest, highest_first[:SUREST])
    if made_by:
        files.write(made_by, f"{signature}\n".encode())


def _scores(
    description: Description, measured: dict[str, tuple[Tensor, Tensor]]
) -> results.Accuracy:
    """Return what `accuracy.json` holds, from the logits and labels of each part of the data."""
    from cifar2.inference import evaluation

    scores = {}
    for part, (logits, labels) in measured.items():
        accuracy, loss = evaluation.accuracy(logits, labels), evaluation.loss(logits, labels)
        if not math.isfinite(loss):
            raise UserError(f"the loss on the {part} images is {loss}; try a smaller train.lr")
        recalls, *_ = evaluation.per_class(logits, labels)
        per_class = dict(zip(description.classes, recalls, strict=True))
        scores[part] = results.ClassScores(accuracy=accuracy, loss=loss, per_class=per_class)
    name, epoch = description.name, description.epoch
    return results.Accuracy(dataset=description.source, model=name, epoch=epoch, **scores)


def _about_others(
    whole: Dataset, classes: Sequence[str], answers: Callable[[Tensor], Tensor]
) -> tuple[list[OtherClass], list[Prediction]]:
    """Ask about the images of the classes that the network does not know.

    Returns:
        A summary of each class, and of all as the last one; every prediction, the surest first.
    """
    groups: dict[str, list[Prediction]] = {}  # by the class of the images
    for label, name in enumerate(whole.classes):
        images = (whole.labels == label).nonzero().flatten()
        if name not in classes and len(images):
            logits = answers(whole.images[images])
            actual = len(images) * [name]
            groups[name] = _predictions(logits, classes, actual, images.tolist())
    every = [each for group in groups.values() for each in group]
    if every:
        groups["all"] = every
    rows = []
    for name, group in groups.items():
        given, count = [each.predicted for each in group], len(group)
        shares = {each: given.count(each) / count for each in classes}
        confidence = sum(each.confidence for each in group) / count
        sure = sum(each.confidence > results.SURE for each in group) / count
        rows.append(OtherClass(name, count, shares, confidence, sure))
    return rows, sorted(every, key=lambda each: (-each.confidence, each.image))


def _predictions(
    logits: Tensor, classes: Sequence[str], actual: Sequence[str], images: Sequence[int] = ()
) -> list[Prediction]:
    """Return the prediction for each image; `images` are their indices, by default from 0."""
    confidences, predicted = logits.softmax(dim=1).max(dim=1)
    numbers = images or range(len(actual))
    rows = zip(numbers, actual, predicted.tolist(), confidences.tolist(), strict=True)
    return [Prediction(image, name, classes[answer], p) for image, name, answer, p in rows]
