"""Compare the zoo's variants: means over seeds, the book's figures, which differences are real."""

import csv
import io
import json
import statistics
from pathlib import Path
from typing import Any, NamedTuple

import _stage
import _table
import yaml

from cifar2 import UserError, comparison, files, models, params

SETS = ("train", "val")


class Run(NamedTuple):
    """What a run left: its accuracies and their curves, by set; where it was right, on val.

    dataset, classes, actual: what it was measured on, and the class of each val image.
    """

    dataset: str
    classes: list[str]
    actual: list[str]
    accuracies: dict[str, float]
    right: list[bool]
    curves: dict[str, list[float]]


def main(
    variants: Path,
    settings: Path,
    runs: Path,
    results: Path,
    pairs: Path,
    markdown: Path,
    accuracy_plot: Path,
    curves_plot: Path,
    pairs_plot: Path,
) -> None:
    import numpy as np

    from cifar2 import plotting

    zoo = yaml.safe_load(variants.read_bytes())
    try:
        book = {name: {s: float(each[s]) for s in SETS} for name, each in zoo["book"].items()}
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise UserError(f"{variants}: book: wants {{variant: {{train: …, val: …}}}}") from error
    found = {
        name: finished(settings, runs, name, group["seeds"])
        for group in (zoo["cheap"], zoo["dear"], zoo["ten"])
        for name in group["variants"]
    }
    found = {name: seeds for name, seeds in found.items() if seeds}
    compared = {name: seeds for name, seeds in found.items() if name not in zoo["ten"]["variants"]}
    data = same_data(runs, compared)

    summary = {
        name: summarise(seeds, params.load(settings / f"{name}-{next(iter(seeds))}.yaml"))
        for name, seeds in found.items()
    }
    correct, drawn = {}, []
    for name, seeds in compared.items():
        train, val = ([run.accuracies[s] for run in seeds.values()] for s in SETS)
        correct[name] = np.array([run.right for run in seeds.values()])
        curves = np.array([[run.curves[s] for run in seeds.values()] for s in SETS])
        figures = (book[name]["train"], book[name]["val"]) if name in book else None
        drawn.append(plotting.Variant(name, train, val, curves, figures))
    differences = comparison.differences(correct)

    write_csv(
        pairs,
        ["a", "b", "difference", "low", "high", "real"],
        [
            [d.a, d.b, *(f"{value:.5f}" for value in (d.mean, d.low, d.high)), str(d.real).lower()]
            for d in differences
        ],
    )
    files.write(markdown, rows(summary, book).encode())
    title = f"Accuracy on {data}: mean over seeds, ± one standard deviation"
    files.write(accuracy_plot, plotting.bars(drawn, title))
    title = f"Accuracy per epoch on {data}: mean over seeds, and range"
    files.write(curves_plot, plotting.small_multiples(drawn, title))
    title = f"Val accuracy on {data}, row minus column, in percentage points;"
    title += "\nbold: the 95% interval leaves out 0, with three seeds or more each"
    cells = [(-d.mean, d.real) for d in differences]
    files.write(pairs_plot, plotting.triangle(list(compared), cells, title))
    files.write(results, (json.dumps(summary, indent=2) + "\n").encode())


def finished(settings: Path, runs: Path, name: str, seeds: list[int]) -> dict[int, Run]:
    """Read the runs that are trained to their last epoch, and measured.

    One that failed, or is under way, may still have its accuracy with the settings before these.
    """
    found = {}
    for seed in seeds:
        folder = runs / f"{name}-{seed}"
        left = [folder / "accuracy.json", *(curve(folder, s) for s in SETS)]
        if all(path.exists() for path in left):
            run = read(folder)
            epochs = params.load(settings / f"{name}-{seed}.yaml").train.epochs
            if all(len(values) == epochs for values in run.curves.values()):
                found[seed] = run
    return found


def same_data(runs: Path, found: dict[str, dict[int, Run]]) -> str:
    """Return what the runs are on, in words.

    Raises:
        UserError: if they are not all on the same images, or there is none.
    """
    first: Run | None = None
    for name, seeds in found.items():
        for seed, run in seeds.items():
            first = first or run
            if (run.dataset, run.actual) != (first.dataset, first.actual):
                raise UserError(f"{runs / name}-{seed}: is not like the runs before it; `make zoo`")
    if first is None:
        raise UserError(f"{runs}: has no run yet; `make zoo`")
    return f"{first.dataset} ({', '.join(first.classes)})"


def summarise(seeds: dict[int, Run], run: params.Params) -> dict[str, Any]:
    train, val = (spread([each.accuracies[s] for each in seeds.values()]) for s in SETS)
    classes = len(next(iter(seeds.values())).classes)
    sizes = {"parameters": parameters(run.model, classes), "epochs": run.train.epochs}
    return {"train": train, "val": val} | sizes


def spread(values: list[float]) -> dict[str, Any]:
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {
        "mean": round(statistics.mean(values), 6),
        "std": None if deviation is None else round(deviation, 6),
        "seeds": values,
    }


def parameters(model: params.Model, classes: int) -> int:
    """Count what a run's network learns."""
    options = model.model_dump()
    config = {key: options[key] for key in models.config_keys(model.name)}
    network = models.get_model(model.name, classes, **config)
    return sum(parameter.numel() for parameter in network.parameters())


def curve(run: Path, part: str) -> Path:
    return run / "training" / "plots" / "metrics" / part / "accuracy.tsv"


def read(run: Path) -> Run:
    """Read what a run left.

    Raises:
        UserError: if a file is missing or is not what the stages write.
    """
    with _table.reading(run, "remove it, then `make zoo`"):
        try:
            accuracy = json.loads((run / "accuracy.json").read_bytes())
            predictions = _table.rows(run / "predictions.csv", ",")
            return Run(
                accuracy["dataset"],
                list(accuracy["val"]["per_class"]),
                [row["actual"] for row in predictions],
                {s: accuracy[s]["accuracy"] for s in SETS},
                [row["actual"] == row["predicted"] for row in predictions],
                {s: _table.column(curve(run, s), "accuracy") for s in SETS},
            )
        except FileNotFoundError as error:
            raise LookupError(f"there is no {error.filename}") from error


def rows(summary: dict[str, Any], book: dict[str, dict[str, float]]) -> str:
    """Return the results as a table in Markdown, with those of the book."""
    lines = [
        "| variant | parameters | epochs | seeds | train | val | the book's train, val |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, result in summary.items():
        cells = [f"`{name}`", f"{result['parameters']:,}", str(result["epochs"])]
        cells.append(str(len(result["val"]["seeds"])))
        for part in (result["train"], result["val"]):
            deviation = "" if part["std"] is None else f" ± {part['std']:.4f}"
            cells.append(f"{part['mean']:.4f}{deviation}")
        cells.append("{train:.2f}, {val:.2f}".format(**book[name]) if name in book else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def write_csv(path: Path, header: list[str], rows: list[list[str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([header, *rows])
    files.write(path, text.getvalue().encode())


if __name__ == "__main__":
    _stage.run(
        main,
        __doc__,
        variants="the zoo's settings file",
        settings="the folder of the runs' settings",
        runs="the folder of the runs' results",
        results="the JSON file to write the means, deviations and accuracies to",
        pairs="the CSV file to write the differences of every two variants to",
        markdown="the Markdown table to write of the results",
        accuracy_plot="the picture to draw of the accuracies",
        curves_plot="the picture to draw of the accuracies per epoch",
        pairs_plot="the picture to draw of the differences",
    )
