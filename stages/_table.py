"""Tables that stages read: the CSV files of one another, and DVCLive's TSV."""

import contextlib
import csv
from collections.abc import Iterator
from pathlib import Path

from cifar2 import UserError


def column(path: Path, name: str) -> list[float]:
    """Return a column of numbers of a series that DVCLive wrote."""
    return [float(row[name]) for row in rows(path, "\t")]


def rows(path: Path, delimiter: str) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines(), delimiter=delimiter))


@contextlib.contextmanager
def reading(path: Path, remedy: str) -> Iterator[None]:
    """Name the file or folder, and the remedy, when what is in it is not what is looked for."""
    try:
        yield
    except (csv.Error, LookupError, TypeError, ValueError, RecursionError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{path}: is damaged ({reason}); {remedy}") from error
