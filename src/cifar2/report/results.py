"""The results of an evaluation, as they lie on disk: accuracies as JSON, predictions as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BaseModel

from cifar2 import files
from cifar2.errors import FileError, MissingFile, first_line

Rounded = Annotated[float, AfterValidator(lambda value: round(value, 6))]


class Scores(BaseModel):
    """Accuracy as a fraction, and the mean cross-entropy in nats; both to six decimals."""

    accuracy: Rounded
    loss: Rounded


class ValScores(Scores):
    """The scores on the val images; `per_class` has the accuracy of each class, in label order."""

    per_class: dict[str, Rounded]


class Accuracy(BaseModel):
    """What `accuracy.json` holds; dataset: "cifar10" or "synthetic"."""

    dataset: str
    model: str
    train: Scores
    val: ValScores

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


def write_accuracy(path: Path, accuracy: Accuracy) -> None:
    """Write `accuracy.json`."""
    files.write(path, (json.dumps(accuracy.model_dump(), indent=2) + "\n").encode())


def read_accuracy(path: Path) -> Accuracy:
    """Read `accuracy.json`.

    Raises:
        MissingFile: if it is not there.
        FileError: if it is damaged.
    """
    try:
        return Accuracy.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise MissingFile(path) from error
    except ValueError as error:  # a pydantic.ValidationError too
        reason = " ".join(line.strip() for line in str(error).splitlines()[1:3])
        raise FileError(path, f"damaged ({reason})") from error


def write_predictions(path: Path, predictions: Sequence[Prediction]) -> None:
    """Write `predictions.csv`, a row an image, with confidences rounded to four decimals."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(Prediction._fields)
    for each in predictions:
        writer.writerow([each.image, each.actual, each.predicted, f"{each.confidence:.4f}"])
    files.write(path, table.getvalue().encode())


def read_predictions(path: Path) -> list[Prediction]:
    """Read `predictions.csv`.

    Raises:
        MissingFile: if it is not there.
        FileError: if it is damaged; an image's index is its row's number.
    """
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
        predictions = [
            Prediction(int(row["image"]), row["actual"], row["predicted"], float(row["confidence"]))
            for row in rows
        ]
        if [each.image for each in predictions] != list(range(len(predictions))):
            raise ValueError("its images are not numbered from 0")
    except FileNotFoundError as error:
        raise MissingFile(path) from error
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise FileError(path, f"damaged ({first_line(error)})") from error
    return predictions
