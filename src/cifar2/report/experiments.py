"""A table of experiments that fits a terminal: their accuracies, and the settings that differ."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from cifar2.params import Params

Row = Mapping[str, Any]  # of `dvc.api.exp_show`
WIDTH, CELL = 100, 32
SETTINGS = [f"{name}.{key}" for name, group in Params.model_fields.items()
            for key in getattr(group.annotation, "model_fields", ())]  # fmt: skip
ACCURACIES = ["train.accuracy", "val.accuracy", "test.accuracy"]
MISSING = (None, "None")


def table(rows: Iterable[Row], images: str) -> str:
    """Return a table of at most 100 columns, the highest val accuracy first.

    Accuracies on other val images are not comparable, so they are in a part of their own; `images`
    is the column with the hash of the images. Experiments that wait, run or failed are in another
    part, without accuracies: those in their rows are of the commit that they began from.
    """
    # One that has just ended may be there twice.
    shown = {(name(row), row["Experiment"]): row for row in sorted(rows, key=_is_done)}.values()
    by_val = sorted(shown, key=lambda row: -row["val.accuracy"] if _is_done(row) else 1)
    differing = [key for key in SETTINGS if len(_values(shown, key)) > 1]
    about = ["dataset", *(key for key in differing if key.startswith("data."))]

    def part(row: Row) -> tuple[bool, str, str]:
        title = ", ".join(f"{key} {_cell(row, key)}" for key in about)
        done = _is_done(row)
        return not done, title if done else "no results", str(done and row.get(images))

    settings = [key for key in differing if key not in about and key != "evaluation.test"]
    accuracies = [key for key in ACCURACIES if key != "test.accuracy" or _values(shown, key)]
    ordered = sorted(by_val, key=part)
    for count in range(len(settings), -1, -1):
        header, *lines = _lines(["experiment", *settings[:count], *accuracies], ordered)
        if len(header) <= WIDTH:
            break
    said = [header]
    for (_, title, _), group in groupby(zip(ordered, lines, strict=True), lambda it: part(it[0])):
        said += [f"{title}:", *(line for _, line in group)]
    if left_out := settings[count:]:
        said.append(f"{len(left_out)} more settings differ: {', '.join(left_out)}")
    return "".join(f"{_cut(line.rstrip(), WIDTH)}\n" for line in said)


def name(row: Row) -> str:
    return str(row["Experiment"] or row["rev"])


def _is_done(row: Row) -> bool:
    return row["State"] in (None, "Success") and isinstance(row.get("val.accuracy"), float)


def _values(rows: Iterable[Row], key: str) -> set[str]:
    return {str(row[key]) for row in rows if row.get(key) not in MISSING}


def _lines(columns: list[str], rows: list[Row]) -> list[str]:
    """Return the headings and the rows, all of one width."""
    cells = [[_cell(row, key) for key in columns] for row in rows]
    parts = [key.partition(".") for key in columns]
    cells.insert(0, [group if key in ("", "name", "accuracy") else key for group, _, key in parts])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)) for line in cells]


def _cell(row: Row, key: str) -> str:
    value = name(row) if key == "experiment" else row.get(key)
    if key in ACCURACIES and not _is_done(row):
        value = str(row["State"]).lower() if key == "val.accuracy" else None
    if isinstance(value, float):
        return f"{value:.4f}" if key in ACCURACIES else f"{value:g}"
    return "-" if value in MISSING else _cut(str(value), CELL)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
