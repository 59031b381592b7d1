"""The values of each epoch on disk, as DVCLive keeps them and `dvc plots` shows them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cifar2 import files
from cifar2.errors import FileError, UserError

if TYPE_CHECKING:
    from dvclive import Live

    from cifar2.training.loop import Epoch

QUANTITIES = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")


class Unfinished(FileError):
    """The series differ in length, as they do for a moment while a training writes them."""


def opened(folder: Path) -> Live:
    """Open the files to write to, as a context.

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
    """Add the values of an epoch; their step is its number."""
    live.step = epoch.epoch
    for quantity in QUANTITIES:
        live.log_metric(quantity.replace("_", "/"), getattr(epoch, quantity))
    live.next_step()


def read(folder: Path) -> dict[str, list[float]]:
    """Return the values of all epochs, by quantity: "train_loss", "val_accuracy" and so on.

    Raises:
        MissingFile: if a file is not there.
        Unfinished: if they differ in length.
        FileError: if a file is damaged.
    """
    columns = {}
    for quantity in QUANTITIES:
        part, name = quantity.split("_")
        with files.reading(folder / "plots" / "metrics" / part / f"{name}.tsv") as content:
            columns[quantity] = [float(row[name]) for row in files.rows(content, "\t")]
    if len({len(column) for column in columns.values()}) > 1:
        raise Unfinished(folder, "its series differ in length")
    return columns
