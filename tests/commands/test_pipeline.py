"""`dvc repro` in a clone: what it leaves, and which stages it runs again."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from tests.commands.conftest import metrics, stages_run
from tests.conftest import ROOT, STAGES, run
from tests.stages.source import PLUMBING_FILES


def test_results_are_in_git_and_images_and_networks_are_not(clone: Path) -> None:
    tracked = run("git", "ls-files", "metrics", "plots", "data", "models", cwd=clone).split()
    assert tracked == [
        "metrics/accuracy.json",
        "metrics/calibration.json",
        "metrics/neither.csv",
        "models/README.md",
        "plots/accuracy.png",
        "plots/loss.png",
        "plots/predictions.csv",
        "plots/reliability.csv",
        "plots/surest.csv",
        "plots/training/metrics.json",
        "plots/training/plots/metrics/train/accuracy.tsv",
        "plots/training/plots/metrics/train/loss.tsv",
        "plots/training/plots/metrics/val/accuracy.tsv",
        "plots/training/plots/metrics/val/loss.tsv",
    ]
    assert all((clone / name).stat().st_size < 100_000 for name in tracked)
    assert (clone / "plots/mistakes.png").exists()


def test_network_is_a_plain_state_dict_with_a_card(clone: Path) -> None:
    state_dict = torch.load(clone / "models/model.pt", weights_only=True)
    assert {"conv1.weight", "fc2.bias"} <= state_dict.keys()
    card = json.loads((clone / "models/model.json").read_text())
    assert (card["model"], card["dataset"]) == ("net", "synthetic")


def test_accuracy_is_the_share_of_right_predictions(clone: Path) -> None:
    result = metrics(clone)
    assert (result["model"], result["dataset"]) == ("net", "synthetic")
    assert set(result["val"]["per_class"]) == {"airplane", "bird"}
    rows = list(csv.DictReader((clone / "plots/predictions.csv").read_text().splitlines()))
    right = [row["actual"] == row["predicted"] for row in rows]
    assert sum(right) / len(right) == result["val"]["accuracy"]


def test_nothing_runs_when_nothing_changed(tidy: Path) -> None:
    said = run("dvc", "repro", cwd=tidy)
    assert said.splitlines()[-1] == "Data and pipelines are up to date."
    assert stages_run(said) == []


@pytest.mark.slow
def test_forced_run_gives_the_same_bytes(tidy: Path) -> None:
    shutil.rmtree(tidy / ".dvc" / "tmp" / "snapshots")  # otherwise the training is not repeated
    said = run("dvc", "repro", "--force", cwd=tidy)
    assert stages_run(said) == list(STAGES)
    assert "epoch 1/1 " in said
    assert run("git", "status", "--porcelain", cwd=tidy) == ""


def comment(*files: Path) -> None:
    for file in files:
        file.write_text(file.read_text() + "# a comment\n")


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("src/cifar2/report/plotting.py", ["plot", "surest"]),
        ("src/cifar2/models/net.py", ["train", "evaluate", "calibration", "neither", "card"]),
        ("src/cifar2/models/netres.py", []),
    ],
)
def test_comment_in_the_code_runs_only_the_stages_that_use_it(
    file: str, stages: list[str], tidy: Path
) -> None:
    """Their outputs stay the same, so the stages after them need not run."""
    comment(tidy / file)
    assert stages_run(run("dvc", "repro", cwd=tidy)) == stages


def test_comments_in_plumbing_run_nothing(tidy: Path) -> None:
    comment(*(tidy / file.relative_to(ROOT) for file in PLUMBING_FILES if file))
    assert stages_run(run("dvc", "repro", cwd=tidy)) == []


def test_picture_of_the_pipeline_flows_one_way(clone: Path) -> None:
    arrows = set(re.findall(r'"(\w+)" -> "(\w+)"', run("dvc", "dag", "--dot", cwd=clone)))
    assert arrows == {
        ("settings", "download"),
        ("download", "filter"),
        ("filter", "train"),
        ("filter", "evaluate"),
        ("filter", "plot"),
        ("train", "evaluate"),
        ("train", "plot"),
        ("evaluate", "plot"),
        ("filter", "calibration"),
        ("train", "calibration"),
        ("filter", "neither"),
        ("train", "neither"),
        ("filter", "surest"),
        ("evaluate", "surest"),
        ("neither", "surest"),
        ("evaluate", "card"),
        ("neither", "card"),
    }


def test_network_is_a_dvc_artifact(clone: Path, tmp_path: Path) -> None:
    (artifact,) = yaml.safe_load((clone / "dvc.yaml").read_text())["artifacts"].values()
    run("dvc", "get", ".", artifact["path"], "--out", tmp_path / "model.pt", cwd=clone)
    assert (tmp_path / "model.pt").read_bytes() == (clone / artifact["path"]).read_bytes()


def test_committed_run_is_on_cifar10_at_the_defaults() -> None:
    result = metrics(ROOT)
    assert (result["model"], result["dataset"]) == ("net", "cifar10")
    assert result["val"]["accuracy"] >= 0.87
    locked = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]["train"]["params"]
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    for group, values in locked["params.yaml"].items():
        assert settings[group] == values
