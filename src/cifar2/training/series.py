"""The figures of each epoch: as a training yields them, and as DVCLive keeps them in files."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cifar2.errors import FileError, MissingFile, UserError, first_line

if TYPE_CHECKING:
    from dvclive import Live


class Epoch(NamedTuple):
    """The figures of an epoch: mean cross-entropies in nats, accuracies as fractions.

    Those of train are running ones, from each batch before the step on it. Neither penalty nor
    label smoothing is in the loss, so that train and val compare. Those of val are of the network
    at the end of the epoch, without the rotations that airbench averages over.
    With `train.hardest` below 1, those of train are of the hardest images alone, so that train and
    val don't compare.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float


class Unfinished(FileError):
    """The series differ in length, as they do for a moment while a training writes them."""


def opened(folder: Path) -> Live:
    """Open the files to write to, as a context; the editors and `dvc plots` show them as they grow.

    Raises:
        UserError: if DVCLive can't work in this Git repository.
    """
    from dvclive import Live  # here: it takes a second
    from scmrepo.exceptions import SCMError

    try:
        # dvcyaml=None, because our own dvc.yaml describes the series.
        return Live(str(folder), save_dvc_exp=False, dvcyaml=None, report=None)
    except SCMError as error:
        raise UserError(f"DVCLive needs a Git repository with a commit: {error}") from error


def append(live: Live, epoch: Epoch) -> None:
    """Add the figures of an epoch; their step is its number."""
    live.step = epoch.epoch
    live.log_metric("train/loss", epoch.train_loss)
    live.log_metric("train/accuracy", epoch.train_accuracy)
    live.log_metric("val/loss", epoch.val_loss)
    live.log_metric("val/accuracy", epoch.val_accuracy)
    live.next_step()


def read(folder: Path) -> list[Epoch]:
    """Return the figures of all epochs.

    Raises:
        MissingFile: if a file is not there.
        Unfinished: if they differ in length.
        FileError: if a file is damaged.
    """
    columns = [
        _read_column(folder / "plots" / "metrics" / part / f"{quantity}.tsv", quantity)
        for part in ("train", "val")
        for quantity in ("loss", "accuracy")
    ]
    try:
        figures = list(zip(*columns, strict=True))
    except ValueError as error:
        raise Unfinished(folder, "its series differ in length") from error
    return [Epoch(number, *each) for number, each in enumerate(figures, start=1)]


def _read_column(path: Path, name: str) -> list[float]:
    try:
        rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines(), delimiter="\t")
        return [float(row[name]) for row in rows]
    except FileNotFoundError as error:
        raise MissingFile(path) from error
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise FileError(path, f"damaged ({first_line(error)})") from error
