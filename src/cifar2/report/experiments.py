"""A table of experiments that fits a terminal: their accuracies, and the settings that differ."""

from collections.abc import Iterable, Mapping
from typing import Any

from cifar2.params import Params

Row = Mapping[str, Any]  # of `dvc.api.exp_show`; what is missing may be the string "None"
WIDTH, CELL = 100, 32
GROUPS: dict[str, Any] = {name: each.annotation for name, each in Params.model_fields.items()}
SETTINGS = {f"{name}.{key}" for name, group in GROUPS.items() for key in group.model_fields}
ACCURACIES = ["train.accuracy", "val.accuracy", "test.accuracy"]


def table(rows: Iterable[Row], images: str) -> str:
    """Return a table of at most 100 columns, the highest val accuracy first.

    Accuracies on other val images are not comparable, so they are in a part of their own; `images`
    is the column with the hash of the images. Experiments that wait, run or failed are in another
    part, without accuracies: those in their rows are of the commit that they began from.
    """
    # One that has just ended may be there twice.
    shown = {(name(row), row["Experiment"]): row for row in sorted(rows, key=_is_done)}.values()
    keys = dict.fromkeys(key for row in shown for key in row)
    settings = [key for key in keys if key in SETTINGS and len(_values(shown, key)) > 1]
    of_images = ["dataset", *(key for key in settings if key.startswith("data."))]
    settings = [key for key in settings if key not in (*of_images, "evaluation.test")]
    accuracies = ACCURACIES[: 3 if _values(shown, "test.accuracy") else 2]

    parts: dict[tuple[str, object], list[Row]] = {}
    for row in sorted(shown, key=lambda row: -row["val.accuracy"] if _is_done(row) else 1):
        title = ", ".join(f"{key} {_cell(row, key)}" for key in of_images)
        part = (title, row.get(images)) if _is_done(row) else ("no results", None)
        parts.setdefault(part, []).append(row)
    for count in range(len(settings), -1, -1):
        columns = ["experiment", *settings[:count], *accuracies]
        lines = [[_heading(key) for key in columns]]
        for (title, _), group in parts.items():
            lines += [[f"{title}:"], *([_cell(row, key) for key in columns] for row in group)]
        cells = [line for line in lines if len(line) > 1]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        if sum(widths, 2 * len(widths) - 2) <= WIDTH:
            break
    if left_out := settings[count:]:
        lines.append([f"{len(left_out)} more settings differ: {', '.join(left_out)}"])
    said = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    return "".join(f"{_cut(line, WIDTH)}\n" for line in said)


def name(row: Row) -> str:
    return str(row["Experiment"] or row["rev"])


def _is_done(row: Row) -> bool:
    return row["State"] in (None, "Success") and isinstance(row.get("val.accuracy"), float)


def _values(rows: Iterable[Row], key: str) -> set[str]:
    return {str(row.get(key)) for row in rows} - {"None"}


def _heading(key: str) -> str:
    group, _, word = key.partition(".")
    return group if word in ("", "name", "accuracy") else word


def _cell(row: Row, key: str) -> str:
    value = name(row) if key == "experiment" else row.get(key)
    if key in ACCURACIES and not _is_done(row):
        return (row["State"] or "none").lower() if key == "val.accuracy" else ""
    if isinstance(value, float):
        return f"{value:.4f}" if key in ACCURACIES else f"{value:g}"
    return "-" if value in (None, "None") else _cut(str(value), CELL)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
