"""Insert figures from the results into README.md and docs/: `make docs`.

A figure stands between two comments, `<!-- figure: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from cifar2.report.comparison import differences
from cifar2.report.results import SURE

ROOT = Path(__file__).resolve().parent.parent
FIGURE = re.compile(r"(<!-- figure: (.*?) -->)(.*?)(<!-- end -->)", re.DOTALL)

# The variants in README's table.
NETWORKS = {
    "baseline": "two convolutions, two linear layers",
    "width": "twice as many channels",
    "dropout": "wide, with dropout",
    "batch_norm": "wide, with batch normalization",
    "depth": "three convolutions",
    "res": "three, with a skip connection",
    "fast": "fixed filters, two convolutions, trained on the hardest images",
    "strong": "six convolutions, an auxiliary task, trained on the hardest images",
}


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def inserted(page: str) -> str:
    """Return a page with its figures as the results have them now."""

    def insert(match: re.Match[str]) -> str:
        value = figure(*match[2].split())
        if "\n" in value:
            value = f"\n{value.strip()}\n"
        return f"{match[1]}{value}{match[4]}"

    return FIGURE.sub(insert, page)


def figure(kind: str, *names: str) -> str:
    """Return one figure.

    Raises:
        ValueError: if there is no such kind of figure.
    """
    match kind, *names:
        case ["zoo"]:
            return (ROOT / "zoo" / "table.md").read_text(encoding="utf-8")
        case ["results"]:
            return _results()
        case ["kernel"]:
            return _kernel()
        case ["neither"]:
            return _neither()
        case ["neither", "zoo"]:
            return _neither_in_the_zoo()
        case ["trials"]:
            return _trials()
        case ["ensembles", variant]:
            return _ensembles(variant)
        case ["calibration", key]:
            return str(json.loads((ROOT / "metrics" / "calibration.json").read_bytes())[key])
        case ["reliability", confidence]:
            rows = _table(ROOT / "plots" / "reliability.csv")
            row = min(rows, key=lambda row: abs(float(row["confidence"]) - float(confidence)))
            return f"{float(row['accuracy']):.0%}"
        case ["val", variant]:
            return _with_deviation(_zoo()[variant]["val"])
        case ["better", variant]:
            return _names(name for name, low, _, real in _against(variant) if real and low > 0)
        case ["worse", variant]:
            return _names(name for name, _, high, real in _against(variant) if real and high < 0)
        case ["like", variant]:
            return _names(name for name, _, _, real in _against(variant) if not real)
        case ["table", "better"]:  # of the variants in README's table
            better = {name for name, low, _, real in _against("baseline") if real and low > 0}
            return _names(name for name in NETWORKS if name in better)
        case ["table", "worse"]:
            worse = {name for name, _, high, real in _against("baseline") if real and high < 0}
            return _names(name for name in NETWORKS if name in worse)
        case ["interval", variant, other]:
            low, high = next(each[1:3] for each in _against(other) if each[0] == variant)
            return f"{low:+.3f} to {high:+.3f}"
        case ["reach"]:
            return _reach()
    raise ValueError(f"unknown figure: {' '.join([kind, *names])}")


def _zoo() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ROOT / "zoo" / "results.json").read_bytes())
    return content


def _against(variant: str) -> list[tuple[str, float, float, bool]]:
    """Return each other variant, with the interval of its accuracy minus that of `variant`."""
    found = []
    for row in _table(ROOT / "zoo" / "pairs.csv"):
        low, high, real = float(row["low"]), float(row["high"]), row["real"] == "true"
        if row["b"] == variant:
            found.append((row["a"], low, high, real))
        if row["a"] == variant:
            found.append((row["b"], -high, -low, real))
    return found


def _reach() -> str:
    """Return how far the interval of a difference reaches, by what is drawn anew, as a table.

    Each is the mean over all pairs of the variants that have the most seeds.
    """
    seeds = {name: len(each["val"]["seeds"]) for name, each in _zoo().items()}
    compared = {row[side] for row in _table(ROOT / "zoo" / "pairs.csv") for side in ("a", "b")}
    most = max(seeds[name] for name in compared)
    names = [name for name in seeds if name in compared and seeds[name] == most]
    correct = {
        name: np.array([_correct(f"{name}-{seed + 1}") for seed in range(most)]) for name in names
    }
    lines = ["| | to either side |", "|---|---:|"]
    for count in [*(count for count in (3, 5) if count < most), most]:
        few = {name: each[:count] for name, each in correct.items()}
        reach = [(each.high - each.low) / 2 for each in differences(few, resamples=2000)]
        lines.append(f"| {count} seeds | {statistics.mean(reach):.3f} |")
    rates = {name: each.mean(axis=0) for name, each in correct.items()}
    deviations = [np.std(rates[a] - rates[b]) for a, b in itertools.combinations(names, 2)]
    alone = 1.96 * statistics.mean(deviations) / len(rates[names[0]]) ** 0.5
    lines.append(f"| {most} seeds, if only the images are drawn anew | {alone:.3f} |")
    return "\n".join(lines)


def _correct(run: str) -> list[bool]:
    rows = _table(ROOT / "zoo" / "runs" / run / "predictions.csv")
    return [row["predicted"] == row["actual"] for row in rows]


def _results() -> str:
    rows = [
        "| variant | network | parameters | epochs | seeds | train | val |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    zoo = _zoo()
    for name, network in NETWORKS.items():
        each = zoo[name]
        cells = [
            f"`{name}`",
            network,
            f"{each['parameters']:,}",
            each["epochs"],
            len(each["val"]["seeds"]),
            _with_deviation(each["train"]),
            _with_deviation(each["val"]),
        ]
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(rows)


def _kernel() -> str:
    zoo = _zoo()
    rows = ["| kernels | parameters | train | val | train − val |", "|---|---:|---:|---:|---:|"]
    for name, kernels in (("baseline", "3×3"), ("kernel", "5×5")):
        each = zoo[name]
        gap = each["train"]["mean"] - each["val"]["mean"]
        accuracies = f"{_with_deviation(each['train'])} | {_with_deviation(each['val'])}"
        rows.append(f"| {kernels} | {each['parameters']:,} | {accuracies} | {gap:.4f} |")
    return "\n".join(rows)


def _neither() -> str:
    """Return metrics/neither.csv as a table in Markdown; on the stand-in it has no rows."""
    with open(ROOT / "metrics" / "neither.csv", newline="", encoding="utf-8") as file:
        (_, _, *classes, _, _), *rows = csv.reader(file)
    heads = ["shown", *(f"called {name}" for name in classes), "mean probability", "sure"]
    lines = [f"| {' | '.join(heads)} |", f"|---|{(len(heads) - 1) * '---:|'}"]
    for name, _, *shares, confidence, sure in rows:
        cells = [name, *map(_percent, shares), f"{float(confidence):.2f}", _percent(sure)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _neither_in_the_zoo() -> str:
    """Return how sure each variant's first network is, of other classes and of its own."""
    zoo = _zoo()
    lines = [
        "| variant | parameters | val accuracy | sure: its own classes | sure: others |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, each in zoo.items():
        run = ROOT / "zoo" / "runs" / f"{name}-1"
        others = _table(run / "neither.csv") if (run / "neither.csv").exists() else []
        if not others:
            continue
        own = [float(row["confidence"]) > SURE for row in _table(run / "predictions.csv")]
        lines.append(
            f"| `{name}` | {each['parameters']:,} | {each['val']['seeds'][0]:.4f}"
            f" | {_percent(sum(own) / len(own))} | {_percent(others[-1]['sure'])} |"
        )
    return "\n".join(lines)


def _trials() -> str:
    lines = ["| trial | epochs | accuracy over folds | loss |", "|---|---:|---:|---:|"]
    for row in _table(ROOT / "zoo" / "trials.csv"):
        accuracy = f"{float(row['accuracy']):.4f}"
        if row["std"]:  # which a single fold has not
            accuracy += f" ± {float(row['std']):.4f}"
        lines.append(
            f"| `{row['trial']}` | {row['epochs']} | {accuracy} | {float(row['loss']):.3f} |"
        )
    return "\n".join(lines)


def _ensembles(variant: str) -> str:
    """Return how accurate the networks of a variant with two classes are together, as a table.

    An ensemble averages the probabilities of its networks.
    """
    seeds = len(_zoo()[variant]["val"]["seeds"])
    runs = [ROOT / "zoo" / "runs" / f"{variant}-{seed}" for seed in range(1, seeds + 1)]
    networks = [[_margin(row) for row in _table(run / "predictions.csv")] for run in runs]
    lines = ["| networks | ensembles | mean accuracy | range |", "|---:|---:|---:|---|"]
    for size in range(1, seeds + 1):
        accuracies = [
            statistics.mean(sum(margins) > 0 for margins in zip(*ensemble, strict=True))
            for ensemble in itertools.combinations(networks, size)
        ]
        mean, low, high = statistics.mean(accuracies), min(accuracies), max(accuracies)
        lines.append(f"| {size} | {len(accuracies)} | {mean:.4f} | {low:.4f} to {high:.4f} |")
    return "\n".join(lines)


def _margin(prediction: dict[str, str]) -> float:
    """Return the probability of the actual class, of two, minus that of the other one."""
    margin = 2 * float(prediction["confidence"]) - 1
    return margin if prediction["predicted"] == prediction["actual"] else -margin


def _table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _percent(share: str | float) -> str:
    return f"{100 * float(share):.1f}%"


def _with_deviation(accuracy: dict[str, Any]) -> str:
    return f"{accuracy['mean']:.4f} ± {accuracy['std']:.4f}"


def _names(names: Any) -> str:
    *first, last = [f"`{name}`" for name in names] or ["none"]
    return f"{', '.join(first)} and {last}" if first else last


def main() -> None:
    for page in pages():
        before = page.read_text(encoding="utf-8")
        after = inserted(before)
        if after != before:
            page.write_bytes(after.encode())
            print(f"{page.relative_to(ROOT)}: new figures")


if __name__ == "__main__":
    main()
