"""At the root, commands neither read nor show the zoo, which is a DVC project of its own."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import run

PARAMS_SHOW = "import dvc.api, json; print(json.dumps(dvc.api.params_show()))"


@pytest.fixture
def changed(tidy: Path) -> Path:
    """Give the clone with a change in the settings of both projects."""
    for path, group, key, value in (
        (tidy / "params.yaml", "train", "lr", 0.02),
        (tidy / "zoo/params.yaml", "quick", "seeds", [7]),
    ):
        content: dict[str, Any] = yaml.safe_load(path.read_text())
        content[group][key] = value
        path.write_text(yaml.safe_dump(content))
    return tidy


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("stage list", "evaluate"),
        ("status", "params.yaml"),
        ("dag", "evaluate"),
        ("repro --dry", "stages/train.py"),
        ("metrics show", "metrics/accuracy.json"),
        ("metrics diff --all", "metrics/accuracy.json"),
        ("params diff", "train.lr"),
        ("exp show --csv", "train.lr"),
    ],
)
def test_command_shows_the_main_pipeline_and_not_the_zoo(
    command: str, shown: str, changed: Path
) -> None:
    said = run("dvc", *command.split(), cwd=changed)
    assert shown in said
    assert "zoo" not in said


def test_plots_page_has_no_plot_of_the_zoo(changed: Path) -> None:
    run("dvc", "plots", "show", "--out", "dvc_plots", cwd=changed)
    page = (changed / "dvc_plots/index.html").read_text().partition("<main>")[2]
    assert "mistakes.png" in page
    assert "zoo" not in page


def test_params_of_the_api_are_those_of_the_main_pipeline(changed: Path) -> None:
    """It fails where the same setting is in two files."""
    shown = json.loads(run(sys.executable, "-c", PARAMS_SHOW, cwd=changed))
    assert shown == yaml.safe_load((changed / "params.yaml").read_text())
