"""What the summary of a pull request says."""

import json
import math
import re
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, run

pytestmark = pytest.mark.slow


@pytest.fixture
def fresh(clone: Path, tmp_path: Path) -> Path:
    run("git", "clone", "--quiet", clone, tmp_path / "fresh", cwd=tmp_path)
    return tmp_path / "fresh"


def report(clone: Path, status: int = 0) -> str:
    script = ROOT / ".ci" / "report.py"
    options = ("HEAD~1", "--pictures", "https://example.com/raw/main")
    return run(sys.executable, script, *options, cwd=clone, status=status)


def change(clone: Path, group: str, key: str, by: float) -> None:
    path = clone / "metrics" / "accuracy.json"
    metrics = json.loads(path.read_text())
    metrics[group][key] += by
    path.write_text(json.dumps(metrics))


def test_small_differences_between_machines_are_allowed(fresh: Path) -> None:
    run("git", "commit", "--quiet", "--allow-empty", "--message=nothing", cwd=fresh)
    change(fresh, "val", "accuracy", 0.01)
    said = report(fresh)
    assert "\nNo metric changed.\n" in said
    assert re.search(r"^\| val.accuracy \| \S+ \| \S+ \| \+0\.0100 \|  \|$", said, re.MULTILINE)
    assert "![plots/loss.png](https://example.com/raw/main/plots/loss.png)" in said


def test_committed_metrics_that_are_of_other_code_fail(fresh: Path) -> None:
    change(fresh, "train", "loss", -0.1)
    said = report(fresh, status=1)
    assert re.search(r"^\| train.loss .* \| -0\.1000 \| \*\*more than 0\.05\*\* \|$", said, re.M)
    assert said.splitlines()[-1].startswith("report: the committed metrics are not those of")


def test_a_committed_change_is_shown_beside_the_base(fresh: Path) -> None:
    change(fresh, "val", "loss", 0.25)
    run("git", "commit", "--quiet", "--all", "--message=other metrics", cwd=fresh)
    said = report(fresh)
    assert re.search(r"^\| metrics/accuracy.json +\| val.loss .* 0\.25 +\|$", said, re.MULTILINE)


def test_a_metric_that_is_no_number_or_missing_fails(fresh: Path) -> None:
    change(fresh, "val", "loss", math.nan)
    path = fresh / "metrics" / "calibration.json"
    path.write_text(json.dumps({"temperature": 1.0}))
    said = report(fresh, status=1)
    assert re.search(r"^\| val\.loss .* nan .*more than 0\.05", said, re.MULTILINE), said
    assert re.search(
        r"^\| .*ece \| \S+ \| - \| \| \*\*not made here\*\* \|$", said, re.MULTILINE
    ), said
