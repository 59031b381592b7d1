"""Insert results between the comments `result: …` and `end` of README.md and docs/: `make docs`."""

import csv
import json
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from cifar2.report import results

ROOT = Path(__file__).resolve().parent.parent
RESULT = re.compile(r"(<!-- result: (\S+)(.*?) -->).*?(<!-- end -->)", re.DOTALL)
ACCURACIES = "{train[mean]:.4f} ± {train[std]:.4f} | {val[mean]:.4f} ± {val[std]:.4f}".format_map
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
    """Return a page with the results as they are now; an unknown name is a KeyError."""
    return RESULT.sub(lambda it: it[1] + RESULTS[it[2]](*it[3].split()) + it[4], page)


def _networks() -> str:
    rows = []
    for name, network in NETWORKS.items():
        each = _json("zoo/results.json")[name]
        size = f"{each['parameters']:,} | {each['epochs']} | {len(each['val']['seeds'])}"
        rows.append(f"`{name}` | {network} | {size} | {ACCURACIES(each)}")
    return _table("variant | network | parameters: | epochs: | seeds: | train: | val:", rows)


def _kernel() -> str:
    rows = []
    for kernels, name in (("3×3", "baseline"), ("5×5", "kernel")):
        each = _json("zoo/results.json")[name]
        gap = each["train"]["mean"] - each["val"]["mean"]
        rows.append(f"{kernels} | {each['parameters']:,} | {ACCURACIES(each)} | {gap:.4f}")
    return _table("kernels | parameters: | train: | val: | train − val:", rows)


def _others() -> str:
    """Return the answers for images of other classes; on the stand-in there are none."""
    classes = results.read_accuracy(ROOT / "metrics" / "accuracy.json").classes
    rows = []
    for each in results.read_others(ROOT / "metrics" / "neither.csv"):
        shares = " | ".join(f"{each.shares[name]:.1%}" for name in classes)
        rows.append(f"{each.name} | {shares} | {each.confidence:.2f} | {each.sure:.1%}")
    called = " | ".join(f"called {name}:" for name in classes)
    return _table(f"shown | {called} | mean probability: | sure:", rows)


def _others_in_the_zoo() -> str:
    """Return how sure each variant's first network is, of other classes and of its own."""
    rows = []
    for name, each in _json("zoo/results.json").items():
        run = _runs(name)[0]
        if (run / "neither.csv").exists() and (others := results.read_others(run / "neither.csv")):
            right, confidences = _answers(run)
            own = f"{np.mean(right):.4f} | {np.mean(confidences > results.SURE):.1%}"
            rows.append(f"`{name}` | {each['parameters']:,} | {own} | {others[-1].sure:.1%}")
    own = "val accuracy: | sure: its own classes:"
    return _table(f"variant | parameters: | {own} | sure: others:", rows)


def _trials() -> str:
    rows = []
    for row in _read("zoo/trials.csv"):
        known = [float(row[key]) for key in ("accuracy", "std") if row[key]]  # one fold has no std
        accuracy = " ± ".join(f"{each:.4f}" for each in known)
        rows.append(f"`{row['trial']}` | {row['epochs']} | {accuracy} | {float(row['loss']):.3f}")
    return _table("trial | epochs: | accuracy over folds: | loss:", rows)


def _ensembles(variant: str) -> str:
    """Return how accurate networks with two classes are that average their probabilities."""
    # The probability of the actual class minus that of the other one.
    margins = [np.where(right, 2 * p - 1, 1 - 2 * p) for right, p in map(_answers, _runs(variant))]
    rows = []
    for size in range(1, len(margins) + 1):
        found = [float(np.mean(sum(each) > 0)) for each in combinations(margins, size)]
        limits = f"{min(found):.4f} to {max(found):.4f}"
        rows.append(f"{size} | {len(found)} | {mean(found):.4f} | {limits}")
    return _table("networks: | ensembles: | mean accuracy: | range", rows)


def _reach() -> str:
    """Return the mean half-width of the intervals of differences, by what is resampled."""
    from zoo.comparison import differences  # here, because a project may have no zoo

    names = sorted({row[side] for row in _read("zoo/pairs.csv") for side in ("a", "b")})
    right = {name: np.array([_answers(run)[0] for run in _runs(name)]) for name in names}
    most = max(map(len, right.values()))  # seeds; variants with fewer don't count
    right = {name: each for name, each in right.items() if len(each) == most}
    rows = []
    for count in [*(count for count in (3, 5) if count < most), most]:
        few = {name: each[:count] for name, each in right.items()}
        reach = mean((each.high - each.low) / 2 for each in differences(few, resamples=2000))
        rows.append(f"{count} seeds | {reach:.3f}")
    rates = [each.mean(axis=0) for each in right.values()]
    deviation = mean(float(np.std(a - b)) for a, b in combinations(rates, 2))
    reach = 1.96 * deviation / len(rates[0]) ** 0.5
    rows.append(f"{most} seeds, if only the images are drawn anew | {reach:.3f}")
    return _table("| to either side:", rows)


def _reliability(confidence: str) -> str:
    rows = _read("plots/reliability.csv")
    row = min(rows, key=lambda row: abs(float(row["confidence"]) - float(confidence)))
    return f"{float(row['accuracy']):.0%}"


def _against(variant: str) -> dict[str, tuple[str, float, float]]:
    """Return how the others compare, and the interval of their accuracy minus this one's."""
    found = {}
    for row in _read("zoo/pairs.csv"):
        if variant in (row["a"], row["b"]):
            other, low, high = row["a"], float(row["low"]), float(row["high"])
            if other == variant:
                other, low, high = row["b"], -high, -low
            verdict = "like" if row["real"] != "true" else "better" if low > 0 else "worse"
            found[other] = (verdict, low, high)
    return found


def _names(verdict: str, variant: str, among: str = "") -> str:
    found = [name for name, each in _against(variant).items() if each[0] == verdict]
    shown = [f"`{name}`" for name in found if among != "table" or name in NETWORKS]
    *first, last = shown or ["none"]
    return f"{', '.join(first)} and {last}" if first else last


def _json(path: str) -> Any:
    return json.loads((ROOT / path).read_bytes())


def _runs(variant: str) -> list[Path]:
    found = (ROOT / "zoo" / "runs").glob(f"{variant}-*")
    return sorted(found, key=lambda run: int(run.name.rpartition("-")[2]))


def _answers(run: Path) -> tuple[Any, Any]:
    """Return which answers of a run's network are right, and their probabilities, as arrays."""
    found = results.read_predictions(run / "predictions.csv")
    right = [each.predicted == each.actual for each in found]
    return np.array(right), np.array([each.confidence for each in found])


def _read(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader((ROOT / path).read_text(encoding="utf-8").splitlines()))


def _table(head: str, rows: list[str]) -> str:
    """Return a table in Markdown; a column is flush right if its name ends with ":"."""
    sides = "|".join("---:" if name.rstrip().endswith(":") else "---" for name in head.split("|"))
    head = re.sub(r":(?= \||$)", "", head)
    return "\n".join(["", f"| {head} |", f"|{sides}|", *(f"| {row} |" for row in rows), ""])


NAMED: list[Callable[..., str]] = [_networks, _kernel, _others, _others_in_the_zoo, _trials]
NAMED += [_ensembles, _reach, _reliability]
RESULTS = {each.__name__.removeprefix("_"): each for each in NAMED} | {
    "zoo": lambda: f"\n{(ROOT / 'zoo' / 'table.md').read_text(encoding='utf-8')}",
    "calibration": lambda key: str(_json("metrics/calibration.json")[key]),
    "val": lambda variant: ACCURACIES(_json("zoo/results.json")[variant]).split(" | ")[1],
    "interval": lambda a, b: "{:+.3f} to {:+.3f}".format(*_against(b)[a][1:]),
    "variants": _names,
}


if __name__ == "__main__":
    for page in pages():
        before = page.read_text(encoding="utf-8")
        if (after := inserted(before)) != before:
            page.write_bytes(after.encode())
            print(f"{page.relative_to(ROOT)}: new results")
