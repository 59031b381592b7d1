"""Compare the zoo's variants: means over seeds, the book's figures, which differences are real."""

import csv
import io
import json
import statistics
from pathlib import Path
from typing import Any, NamedTuple

import _stage
import yaml

from cifar2 import UserError, comparison, files, models, params

SETS = ("train", "val")


class Run(NamedTuple):
    """What a run left: its accuracies and their curves, by set; where it was right, on val."""

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
    summary: dict[str, Any] = {}
    correct, drawn = {}, []
    for group in (zoo["cheap"], zoo["dear"]):
        for name in group["variants"]:
            names = [f"{name}-{seed}" for seed in group["seeds"]]
            found = [
                read(runs / each) for each in names if (runs / each / "accuracy.json").exists()
            ]
            if not found:
                continue
            train, val = ([run.accuracies[s] for run in found] for s in SETS)
            run = params.load(settings / f"{names[0]}.yaml")
            summary[name] = {
                "train": spread(train),
                "val": spread(val),
                "parameters": parameters(run),
                "epochs": run.train.epochs,
            }
            correct[name] = np.array([run.right for run in found])
            curves = np.array([[run.curves[s] for run in found] for s in SETS])
            book = zoo["book"].get(name)
            figures = (book["train"], book["val"]) if book else None
            drawn.append(plotting.Variant(name, train, val, curves, figures))
    if not summary:
        raise UserError(f"{runs}: has no run yet; `make zoo`")
    differences = comparison.differences(correct)
    write_csv(
        pairs,
        ["a", "b", "difference", "low", "high", "real"],
        [
            [d.a, d.b, *(f"{value:.4f}" for value in (d.mean, d.low, d.high)), str(d.real).lower()]
            for d in differences
        ],
    )
    files.write(markdown, rows(summary, zoo["book"]).encode())
    files.write(
        accuracy_plot,
        plotting.bars(drawn, "Accuracy: mean over seeds, ± one standard deviation"),
    )
    files.write(
        curves_plot,
        plotting.small_multiples(drawn, "Accuracy per epoch: mean over seeds, and range"),
    )
    real = [(-d.mean, d.real) for d in differences]
    title = "Val accuracy, row minus column, in percentage points;\nbold: real at 95%"
    files.write(pairs_plot, plotting.triangle(list(summary), real, title))
    files.write(results, (json.dumps(summary, indent=2) + "\n").encode())


def spread(values: list[float]) -> dict[str, Any]:
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {
        "mean": round(statistics.mean(values), 6),
        "std": None if deviation is None else round(deviation, 6),
        "seeds": values,
    }


def parameters(run: params.Params) -> int:
    """Count what a run's network learns."""
    options = run.model.model_dump()
    config = {key: options[key] for key in models.config_keys(run.model.name)}
    network = models.get_model(run.model.name, len(run.data.classes), **config)
    return sum(parameter.numel() for parameter in network.parameters())


def read(run: Path) -> Run:
    """Read what a run left.

    Raises:
        UserError: if a file is missing or is not what the stages write.
    """
    try:
        accuracy = json.loads((run / "accuracy.json").read_bytes())
        predictions = table(run / "predictions.csv", ",")
        curves = {s: table(run / f"training/plots/metrics/{s}/accuracy.tsv", "\t") for s in SETS}
        return Run(
            {s: accuracy[s]["accuracy"] for s in SETS},
            [row["actual"] == row["predicted"] for row in predictions],
            {s: [float(row["accuracy"]) for row in curves[s]] for s in SETS},
        )
    except (csv.Error, LookupError, OSError, TypeError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{run}: is damaged ({reason}); remove it, then `make zoo`") from error


def table(path: Path, delimiter: str) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines(), delimiter=delimiter))


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
