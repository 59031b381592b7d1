"""What a user types, in a temporary clone: what it prints, and which files change."""

import csv
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.conftest import ROOT, STAGES, copy_project, environment, run


def ran(said: str) -> list[str]:
    return re.findall(r"^Running stage '(\w+)':$", said, re.MULTILINE)


def metrics(clone: Path) -> Any:
    return json.loads((clone / "metrics" / "accuracy.json").read_text())


def experiment(clone: Path, *words: str, status: int = 0) -> str:
    """Run `dvc exp run`; a word without a dash is a setting."""
    options = [[word] if word.startswith("-") else ["-S", word] for word in words]
    return run("dvc", "exp", "run", *itertools.chain(*options), cwd=clone, status=status)


def test_what_a_run_leaves(clone: Path) -> None:
    """Every output is there, the data and the model outside Git and the rest in it."""
    tracked = run("git", "ls-files", "metrics", "plots", "data", "models", cwd=clone).split()
    assert tracked == [
        "metrics/accuracy.json",
        "plots/accuracy.png",
        "plots/loss.png",
        "plots/predictions.csv",
        "plots/training/metrics.json",
        "plots/training/plots/metrics/train/accuracy.tsv",
        "plots/training/plots/metrics/train/loss.tsv",
        "plots/training/plots/metrics/val/accuracy.tsv",
        "plots/training/plots/metrics/val/loss.tsv",
    ]
    assert all((clone / name).stat().st_size < 100_000 for name in tracked)
    assert (clone / "plots/mistakes.png").exists()
    assert torch.load(clone / "models/model.pt", weights_only=True).keys() >= {"conv1.weight"}
    result = metrics(clone)
    assert result["dataset"] == json.loads((clone / "models/model.json").read_text())["dataset"]
    assert result["dataset"] == "synthetic"
    assert set(result["val"]["per_class"]) == {"airplane", "bird"}
    rows = (clone / "plots/predictions.csv").read_text().splitlines()[1:]
    right = [row.split(",")[1] == row.split(",")[2] for row in rows]
    assert sum(right) / len(right) == result["val"]["accuracy"]


def test_nothing_changed_nothing_runs(tidy: Path) -> None:
    said = run("dvc", "repro", cwd=tidy)
    assert said.splitlines()[-1] == "Data and pipelines are up to date."
    assert ran(said) == []


@pytest.mark.slow
def test_run_again_by_force_the_bytes_are_the_same(tidy: Path) -> None:
    shutil.rmtree(tidy / ".dvc" / "tmp" / "snapshots")  # or the finished training is taken as it is
    said = run("dvc", "repro", "--force", cwd=tidy)
    assert ran(said) == list(STAGES)
    assert "epoch 1/1 " in said
    assert run("git", "status", "--porcelain", cwd=tidy) == ""


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("src/cifar2/plotting.py", ["plot"]),
        ("src/cifar2/models/net.py", ["train", "evaluate"]),
        ("src/cifar2/models/netres.py", []),
    ],
)
def test_a_comment_in_the_code_runs_what_imports_it(
    file: str, stages: list[str], tidy: Path
) -> None:
    """And no more: the outputs come out as they were, so that what follows is not run."""
    (tidy / file).write_text((tidy / file).read_text() + "# a comment\n")
    assert ran(run("dvc", "repro", cwd=tidy)) == stages


def test_a_learning_rate_runs_what_reads_it(tidy: Path) -> None:
    said = experiment(tidy, "train.lr=0.03")
    assert ran(said) == ["settings", "train", "evaluate", "plot"]
    changed = run("dvc", "params", "diff", cwd=tidy)
    assert re.search(r"^params\.yaml +train\.lr +0\.01 +0\.03$", changed, re.MULTILINE)
    diff = run("git", "diff", "--unified=0", "params.yaml", cwd=tidy)
    assert [line for line in diff.splitlines() if re.match(r"[-+] ", line)] == [
        "-  lr: 0.01  # learning rate; the highest one, where a schedule changes it",
        "+  lr: 0.03  # learning rate; the highest one, where a schedule changes it",
    ]


def test_an_experiment_with_another_model(tidy: Path) -> None:
    """The user's four commands."""
    said = experiment(tidy, "--name=deep", "model.name=netresdeep", "model.n_blocks=2")
    assert "Ran experiment(s): deep" in said
    assert metrics(tidy)["model"] == "netresdeep"

    said = run("dvc", "metrics", "diff", cwd=tidy)
    for name in ("train.accuracy", "train.loss", "val.accuracy", "val.per_class.bird"):
        numbers = r" +[\d.]+ +[\d.]+ +-?[\d.]+$"
        row = rf"^metrics/accuracy\.json +{re.escape(name)}{numbers}"
        assert re.search(row, said, re.MULTILINE), said

    said = run("dvc", "exp", "show", "--only-changed", "--csv", cwd=tidy)
    rows = {row["Experiment"] or row["rev"]: row for row in csv.DictReader(said.splitlines())}
    assert (rows["main"]["model.name"], rows["deep"]["model.name"]) == ("net", "netresdeep")
    assert float(rows["deep"]["val.accuracy"]) == metrics(tidy)["val"]["accuracy"]

    for command in (["show"], ["diff", "HEAD", "workspace"]):
        run("dvc", "plots", *command, "--out", "dvc_plots", cwd=tidy)
        page = (tidy / "dvc_plots" / "index.html").read_text()
        for title in ("Loss", "Accuracy", "Confusion of the val images"):
            assert title in page
        for picture in ("loss", "accuracy", "mistakes"):
            assert f"{picture}.png" in page
    assert run("git", "status", "--porcelain", "dvc_plots", cwd=tidy) == ""


@pytest.mark.slow
def test_an_experiment_elsewhere(tidy: Path) -> None:
    """--temp and the queue: the workspace stays as it is, the results are kept."""
    experiment(tidy, "--temp", "--name=aside", "train.lr=0.02")
    experiment(tidy, "--queue", "--name=queued", "model.name=netbn")
    run("dvc", "queue", "start", cwd=tidy)
    run("dvc", "queue", "logs", "--follow", "queued", cwd=tidy)
    for _ in range(60):
        status = run("dvc", "queue", "status", cwd=tidy)
        if "Success" in status:
            break
        run("sleep", "1", cwd=tidy)
    assert re.search(r"queued +.*Success", status)
    assert run("git", "status", "--porcelain", cwd=tidy) == ""
    shown = run("dvc", "exp", "show", "--csv", cwd=tidy)
    assert "aside" in shown and "queued" in shown
    run("dvc", "exp", "apply", "queued", cwd=tidy)
    assert metrics(tidy)["model"] == "netbn"
    assert yaml.safe_load((tidy / "params.yaml").read_text())["model"]["name"] == "netbn"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            "model.name=netresdep",
            "'netresdep' is no model; did you mean 'netresdeep'? models: airbench,",
        ),
        ("model.name=../x", "'../x' is no model; models: airbench, net, net1, "),
        ("model.name=../dataset", "'../dataset' is no model; models: airbench, net, net1, "),
        ("train.lr=fast", "'fast' is not allowed; input should be a valid number"),
    ],
)
def test_a_wrong_setting_loses_nothing(change: str, words: str, tidy: Path) -> None:
    before = (tidy / "models" / "model.pt").read_bytes()
    said = experiment(tidy, change, status=255)
    assert f"settings: params.yaml: {change.split('=')[0]}: {words}" in said
    assert "Traceback" not in said
    assert (tidy / "models" / "model.pt").read_bytes() == before
    assert metrics(tidy)["model"] == "net"


def test_the_picture_of_the_pipeline(clone: Path) -> None:
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
    }


def test_the_model_is_an_artifact(clone: Path, tmp_path: Path) -> None:
    (artifact,) = yaml.safe_load((clone / "dvc.yaml").read_text())["artifacts"].values()
    run("dvc", "get", ".", artifact["path"], "--out", tmp_path / "model.pt", cwd=clone)
    assert (tmp_path / "model.pt").read_bytes() == (clone / artifact["path"]).read_bytes()


def test_a_failed_first_run_leaves_nothing_to_add(tmp_path: Path) -> None:
    clone = copy_project(tmp_path)
    (clone / "dvc.lock").unlink(missing_ok=True)
    run("git", "commit", "--quiet", "--all", "--allow-empty", "--message=none", cwd=clone)
    said = run("dvc", "repro", cwd=clone, status=255, env={"CIFAR10_URL": "/nothing"})
    assert "download: CIFAR10_URL: /nothing: there is no file /nothing" in said
    run("git", "add", "--all", cwd=clone)
    assert run("git", "diff", "--cached", "--name-only", cwd=clone).split() in ([], ["dvc.lock"])


def test_the_committed_run_is_the_real_one_at_the_defaults() -> None:
    result = metrics(ROOT)
    assert result["dataset"] == "cifar10"
    assert result["model"] == "net"
    assert result["val"]["accuracy"] >= 0.87
    locked = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]["train"]["params"]
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    for key, value in locked["params.yaml"].items():
        group, name = key.split(".")
        assert settings[group][name] == value, key


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_in_any_mode(tidy: Path) -> None:
    """Ctrl-C in `dvc repro`; then the same settings with --temp, and from the queue."""
    settings = ["-S", "train.epochs=12", "-S", "train.seed=1"]
    run("dvc", "exp", "run", "--queue", "--name=stopped", *settings, cwd=tidy)
    text = (tidy / "params.yaml").read_text()
    text = text.replace("epochs: 1 ", "epochs: 12 ").replace("seed: 123", "seed: 1")
    (tidy / "params.yaml").write_text(text)
    process = subprocess.Popen(
        ["dvc", "repro"],
        cwd=tidy,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    said = ""
    while "epoch 1/12" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does
    said = process.stdout.read()
    assert process.wait() == 255
    stopped = re.search(r"stopped by SIGINT after epoch (\d+) of 12; the same run again", said)
    assert stopped, said
    assert not (tidy / "models" / "model.pt").exists()

    run("git", "checkout", "--quiet", ".", cwd=tidy)
    said = run("dvc", "exp", "run", "--temp", "--name=aside12", *settings, cwd=tidy)
    assert f"going on after epoch {stopped[1]} of 12" in said
    run("dvc", "queue", "start", cwd=tidy)
    said = run("dvc", "queue", "logs", "--follow", "stopped", cwd=tidy)
    for _ in range(60):
        if re.search(r"stopped +.*Success", run("dvc", "queue", "status", cwd=tidy)):
            break
        run("sleep", "1", cwd=tidy)
    said = run("dvc", "queue", "logs", "stopped", cwd=tidy)
    # Trained already; or given back by DVC's run cache.
    assert "going on after epoch 12 of 12" in said or "is cached" in said, said
    locks = []
    for name in ("aside12", "stopped"):
        run("dvc", "exp", "apply", name, cwd=tidy)
        locks.append((tidy / "dvc.lock").read_text())
    assert locks[0] == locks[1]

    shutil.rmtree(tidy / ".dvc" / "tmp" / "snapshots")
    run("git", "reset", "--quiet", "--hard", cwd=tidy)
    run("dvc", "exp", "run", "--force", *settings, cwd=tidy)  # never stopped
    assert (tidy / "dvc.lock").read_text() == locks[0]
