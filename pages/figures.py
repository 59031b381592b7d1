"""Insert figures from the results into README.md and docs/: `make docs`.

A figure stands between two comments, `<!-- figure: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

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
    "fast": "a small network, 7 epochs, a one-cycle schedule",
    "strong": "six convolutions and an auxiliary task",
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
    raise ValueError(f"unknown figure: {' '.join([kind, *names])}")


def _zoo() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ROOT / "zoo" / "results.json").read_bytes())
    return content


def _against(variant: str) -> list[tuple[str, float, float, bool]]:
    """Return each other variant, with the interval of its accuracy minus that of `variant`."""
    found = []
    with open(ROOT / "zoo" / "pairs.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            low, high, real = float(row["low"]), float(row["high"]), row["real"] == "true"
            if row["b"] == variant:
                found.append((row["a"], low, high, real))
            if row["a"] == variant:
                found.append((row["b"], -high, -low, real))
    return found


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
