"""The results of evaluations, as they lie on disk: accuracies as JSON, tables as CSV.

Each function that reads raises MissingFile if the file is not there, and FileError if it is
damaged.
"""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import AfterValidator, BaseModel, FiniteFloat, ValidationError

from cifar2 import files
from cifar2.errors import FileError

if TYPE_CHECKING:
    from cifar2.report.calibration import Calibration

SURE = 0.95  # the probability above which an answer counts as sure

Rounded = Annotated[FiniteFloat, AfterValidator(lambda value: round(value, 6))]


class Scores(BaseModel):
    """Accuracy as a fraction, and the mean cross-entropy in nats; both to six decimals."""

    accuracy: Rounded
    loss: Rounded


class ClassScores(Scores):
    """Scores, and the accuracy of each class, in label order: None for one without an image."""

    per_class: dict[str, Rounded | None]


class Accuracy(BaseModel):
    """What `accuracy.json` holds."""

    dataset: str  # "cifar10", "synthetic", or another name
    model: str
    epoch: int | None = None  # that the weights are of, with `train.keep: best`
    train: Scores
    val: ClassScores
    # Where val was set apart from the train images (`data.holdout`): on the images that are val
    # otherwise.
    test: ClassScores | None = None

    @property
    def classes(self) -> list[str]:
        """The classes, in the order of their labels."""
        return list(self.val.per_class)


class Prediction(NamedTuple):
    """The answer for one image: its index in the val set, two class names, a probability."""

    image: int
    actual: str
    predicted: str
    confidence: float


class OtherClass(NamedTuple):
    """A summary of the answers for the images of a class that the network does not know."""

    name: str  # the class of the images; the last row of a table has "all"
    images: int
    shares: dict[str, float]  # the fraction of the images that is given each known class
    confidence: float  # the mean probability of the answers
    sure: float  # the fraction of the answers with a probability above SURE


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def write_accuracy(path: Path, accuracy: Accuracy) -> None:
    """Write `accuracy.json`."""
    files.write(path, _json(accuracy.model_dump(exclude_none=True)))


def read_accuracy(path: Path) -> Accuracy:
    """Read `accuracy.json`."""
    with files.reading(path) as content:
        try:
            return Accuracy.model_validate_json(content)
        except ValidationError as error:
            lines = str(error).splitlines()[1:3]  # which key, and what is wrong with it
            raise ValueError(" ".join(line.strip() for line in lines)) from error


def write_classes(
    path: Path, classes: Sequence[str], parts: Mapping[str, Iterable[Sequence[float | None]]]
) -> None:
    """Write `classes.json`, from the recalls, precisions and F1 of the classes in each part.

    The balanced accuracy is the mean recall; a recall is in `accuracy.json`, as `per_class`.
    """
    content: dict[str, dict[str, object]] = {}
    for part, (recalls, *others) in parts.items():
        mean = statistics.fmean(each for each in recalls if each is not None)
        content[part] = {"balanced_accuracy": round(mean, 6)}
        for name, values in zip(("precision", "f1"), others, strict=True):
            rounded = (each if each is None else round(each, 6) for each in values)
            content[part][name] = dict(zip(classes, rounded, strict=True))
    files.write(path, _json(content))


def write_predictions(path: Path, predictions: Sequence[Prediction]) -> None:
    """Write `predictions.csv`, a row an image, with confidences rounded to four decimals."""
    rows = [[*each[:3], f"{each.confidence:.4f}"] for each in predictions]
    files.write(path, table(Prediction._fields, rows).encode())


def read_predictions(path: Path) -> list[Prediction]:
    """Read the predictions for a whole val set: an image's index is its row's number."""
    predictions = read_some_predictions(path)
    if [each.image for each in predictions] != list(range(len(predictions))):
        raise FileError(path, "damaged (its images are not numbered from 0)")
    return predictions


def read_some_predictions(path: Path) -> list[Prediction]:
    """Read the predictions for any images."""
    with files.reading(path) as content:
        return [
            Prediction(int(row["image"]), row["actual"], row["predicted"], float(row["confidence"]))
            for row in files.rows(content)
        ]


def write_others(path: Path, others: Sequence[OtherClass], classes: Sequence[str]) -> None:
    """Write `neither.csv`: a row a class, a column for each of the network's classes, with
    fractions rounded to four decimals."""
    rows = []
    for each in others:
        fractions = [*(each.shares[name] for name in classes), each.confidence, each.sure]
        rows.append([each.name, each.images, *(f"{fraction:.4f}" for fraction in fractions)])
    header = ["class", "images", *classes, "confidence", "sure"]
    files.write(path, table(header, rows).encode())


def read_others(path: Path) -> list[OtherClass]:
    """Read `neither.csv`; without rows, there were no images of other classes."""
    with files.reading(path) as content:
        # By position, because a class may be called "images".
        (_, _, *classes, _, _), *rows = csv.reader(content.decode().splitlines())
        return [
            OtherClass(
                name,
                int(images),
                dict(zip(classes, map(float, shares), strict=True)),
                float(confidence),
                float(sure),
            )
            for name, images, *shares, confidence, sure in rows
        ]


def write_calibration(path: Path, diagram: Path, calibration: Calibration) -> None:
    """Write the errors and the temperature as JSON, and the reliability diagram as CSV."""
    content = {
        "ece": round(calibration.error, 4),
        "temperature": round(calibration.temperature, 3),
        "ece_at_temperature": round(calibration.error_at_temperature, 4),
    }
    files.write(path, _json(content))
    rows = [[f"{b.confidence:.4f}", f"{b.accuracy:.4f}", b.images] for b in calibration.bins]
    files.write(diagram, table(["confidence", "accuracy", "images"], rows).encode())


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()
