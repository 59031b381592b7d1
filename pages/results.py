"""Insert results between the comments `result: …` and `end` of README.md and docs/: `make docs`."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from cifar2.report import results, series

ROOT = Path(__file__).resolve().parent.parent
RESULT = re.compile(r"(<!-- result: (\S+)(.*?) -->).*?(<!-- end -->)", re.DOTALL)
ACCURACIES = "{train[mean]:.4f} ± {train[std]:.4f} | {val[mean]:.4f} ± {val[std]:.4f}".format_map
# The variants in README's table.
NETWORKS = {
    "baseline": "two convolutions, two linear layers",
    "kernel": "kernels of 5×5",
    "width": "twice as many channels",
    "l2": "weight decay",
    "dropout": "wide, with dropout",
    "batch_norm": "wide, with batch normalization",
    "dropout_batch_norm": "wide, with both",
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
    answers = {
        row["a"]: f"{row['answer']} ({float(row['difference']):+.4f})"
        for row in _read("zoo/pairs.csv")
        if row["b"] == "baseline" and (row["kind"] == "primary" or row["on"] == "folds")
    }
    rows = []
    for name, network in NETWORKS.items():
        each = _json("zoo/results.json")[name]
        size = f"{each['parameters']:,} | {each['epochs']} | {len(each['val']['seeds'])}"
        rows.append(f"`{name}` | {network} | {size} | {ACCURACIES(each)} | {answers.get(name, '')}")
    sizes = "parameters: | epochs: | seeds:"
    return _table(f"variant | network | {sizes} | train: | val: | against `baseline`", rows)


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
            found = results.read_predictions(run / "predictions.csv")
            right = np.mean([each.predicted == each.actual for each in found])
            own = f"{right:.4f} | {np.mean([each.confidence > results.SURE for each in found]):.1%}"
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


def _ideas() -> str:
    rows = [f"`{r['a']}` | {_limits(r)} | {r['alone']} | {r['answer']}" for r in _primary()]
    return _table("variant | difference: | 95% interval of eight | ± by itself: | answer", rows)


def _scores() -> str:
    every = (row.values() for row in _read("zoo/scores.csv"))
    rows = [f"`{name}` | {' | '.join(values)}" for name, *values in every]
    return _table("variant | seeds: | accuracy: | ±: | log loss: | ±: | Brier score: | ±:", rows)


def _jitter() -> str:
    """Return val accuracy after the last epoch, and its mean over the last ten, of each seed."""
    rows = []
    for name in dict.fromkeys(row[side] for row in _primary() for side in ("b", "a")):
        found = [series.read(run / "training")["val_accuracy"] for run in _runs(name)]
        last, ten = [each[-1] for each in found], [mean(each[-10:]) for each in found]
        cells = (f"{round(mean(each), 6):.4f} ± {stdev(each):.4f}" for each in (last, ten))
        rows.append(f"`{name}` | {' | '.join(cells)}")
    return _table("variant | last epoch: | mean of the last ten:", rows)


def _reliability(confidence: str) -> str:
    rows = _read("plots/reliability.csv")
    row = min(rows, key=lambda row: abs(float(row["confidence"]) - float(confidence)))
    return f"{float(row['accuracy']):.0%}"


def _primary() -> list[dict[str, str]]:
    return [row for row in _read("zoo/pairs.csv") if row["kind"] == "primary"]


def _limits(row: dict[str, str]) -> str:
    difference, low, high = (float(row[key]) for key in ("difference", "low", "high"))
    return f"{difference:+.4f} | {low:+.4f} to {high:+.4f}"


def _compared(a: str, b: str, table: str = "pairs") -> str:
    """Return what is known of `a` against `b`, which comes before it."""
    (row,) = (row for row in _read(f"zoo/{table}.csv") if (row["a"], row["b"]) == (a, b))
    return f"{row['answer']} ({_limits(row).replace(' |', ',')})"


def _json(path: str) -> Any:
    return json.loads((ROOT / path).read_bytes())


def _runs(variant: str) -> list[Path]:
    found = (ROOT / "zoo" / "runs").glob(f"{variant}-[0-9]*")
    return sorted(found, key=lambda run: int(run.name.rpartition("-")[2]))


def _read(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader((ROOT / path).read_text(encoding="utf-8").splitlines()))


def _table(head: str, rows: list[str]) -> str:
    """Return a table in Markdown; a column is flush right if its name ends with ":"."""
    sides = "|".join("---:" if name.rstrip().endswith(":") else "---" for name in head.split("|"))
    head = re.sub(r":(?= \||$)", "", head)
    return "\n".join(["", f"| {head} |", f"|{sides}|", *(f"| {row} |" for row in rows), ""])


NAMED: list[Callable[..., str]] = [_networks, _others, _others_in_the_zoo, _trials, _ideas]
NAMED += [_scores, _jitter, _compared, _reliability]
RESULTS = {each.__name__.removeprefix("_"): each for each in NAMED} | {
    "zoo": lambda: f"\n{(ROOT / 'zoo' / 'table.md').read_text(encoding='utf-8')}",
    "calibration": lambda key: str(_json("metrics/calibration.json")[key]),
    "val": lambda variant: ACCURACIES(_json("zoo/results.json")[variant]).split(" | ")[1],
}


if __name__ == "__main__":
    for page in pages():
        before = page.read_text(encoding="utf-8")
        if (after := inserted(before)) != before:
            page.write_bytes(after.encode())
            print(f"{page.relative_to(ROOT)}: new results")
