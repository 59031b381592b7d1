"""The summary of a pull request: metrics of the base, as committed, and as made here."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, run

PICTURE = "![plots/loss.png](https://example.com/plots/loss.png)"
NEAR = ["No metric changed.", "| val.accuracy | 0.9 | 0.91 | +0.0100 |  |", PICTURE]
CHANGED = ["| metrics/accuracy.json | val.new  | -        | 0.5    | -        |"]
WRONG = [
    "| val.accuracy | 0.9 | 0.8 | -0.1000 | **more than 0.02** |",
    "| val.loss | 0.2 | nan | +nan | **more than 0.05** |",
    "| val.new | - | 0.5 |  | **not committed** |",
    "| val.old | 0.5 | - |  | **not made here** |",
    "report: the committed metrics are not those of this code and these settings",
]


@pytest.mark.parametrize(
    "committed, made, status, lines",
    [
        ({}, {"accuracy": 0.91}, 0, NEAR),
        ({"new": 0.5}, {"new": 0.5}, 0, CHANGED),
        ({"old": 0.5}, {"new": 0.5, "accuracy": 0.8, "loss": float("nan")}, 1, WRONG),
    ],
)
def test_report(committed: Any, made: Any, status: int, lines: list[str], tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "metrics").mkdir()
    (tmp_path / "dvc.yaml").write_text("metrics: [metrics/accuracy.json]")
    for name in ("calibration", "classes"):
        (tmp_path / f"metrics/{name}.json").write_text("{}")
    run("git", "init", "--quiet", cwd=tmp_path)
    for change in [dict[str, float](), committed, made]:
        run("git", "add", ".", cwd=tmp_path)
        run("git", "commit", "--quiet", "--allow-empty", "--message=metrics", cwd=tmp_path)
        metrics = {"val": {"accuracy": 0.9, "loss": 0.2} | change}
        (tmp_path / "metrics/accuracy.json").write_text(json.dumps(metrics))
    report = (ROOT / ".ci/report.py", "HEAD~1", "--pictures", "https://example.com")
    said = run(sys.executable, *report, cwd=tmp_path, status=status)
    assert not set(lines) - set(said.splitlines()), said
