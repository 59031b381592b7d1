"""`dvc exp run` and the commands that compare and keep experiments."""

import csv
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.commands.conftest import experiment, metrics, stages_run
from tests.conftest import STAGES, environment, run, wait_for_queue, write


def test_learning_rate_runs_the_stages_that_read_it(tidy: Path) -> None:
    said = experiment(tidy, "train.lr=0.03")
    assert stages_run(said) == [
        "settings", "train", "evaluate", "plot", "calibration", "neither", "surest", "card",
    ]  # fmt: skip
    changed = run("dvc", "params", "diff", cwd=tidy)
    assert re.search(r"^params\.yaml +train\.lr +0\.01 +0\.03$", changed, re.MULTILINE)
    diff = run("git", "diff", "--unified=0", "params.yaml", cwd=tidy)
    assert [line for line in diff.splitlines() if re.match(r"[-+] ", line)] == [
        "-  lr: 0.01  # learning rate; the highest one, where a schedule changes it",
        "+  lr: 0.03  # learning rate; the highest one, where a schedule changes it",
    ]


def test_setting_of_evaluation_trains_nothing(tidy: Path) -> None:
    said = experiment(tidy, "evaluation.mirror=true")
    assert stages_run(said) == [
        "settings", "evaluate", "plot", "calibration", "neither", "surest", "card",
    ]  # fmt: skip


def test_holdout_shows_val_and_test_and_a_fold_has_other_val_images(tidy: Path) -> None:
    usual = metrics(tidy)
    said = experiment(tidy, "--name=held", "data.holdout=0.2", "model.name=netres")
    assert stages_run(said)[:3] == ["settings", "filter", "train"]
    held = metrics(tidy)
    assert held["test"] != held["val"] and "test" not in usual
    shown = run("dvc", "metrics", "diff", cwd=tidy)
    assert re.search(r"^metrics/accuracy\.json +test\.accuracy +- ", shown, re.MULTILINE), shown
    assert "| test | " in (tidy / "models/README.md").read_text()

    experiment(tidy, "data.fold=4", "evaluation.test=false")
    fold = metrics(tidy)
    assert "test" not in fold and fold["val"] != held["val"]

    said = experiment(tidy, "data.fold=5", status=255)
    assert "data.fold: 5: a data.holdout of 0.2 has folds 0 to 4" in said
    assert metrics(tidy) == fold


def test_another_model_is_compared_by_the_usual_commands(tidy: Path) -> None:
    said = experiment(tidy, "--name=deep", "model.name=netresdeep", "model.n_blocks=1")
    assert "Ran experiment(s): deep" in said
    assert metrics(tidy)["model"] == "netresdeep"

    said = run("dvc", "metrics", "diff", cwd=tidy)
    before = json.loads(run("git", "show", "HEAD:metrics/accuracy.json", cwd=tidy))
    differing = 0
    for part, name in itertools.product(("train", "val"), ("loss", "accuracy")):
        old, new = (round(each[part][name], 5) for each in (before, metrics(tidy)))
        # DVC leaves out what stayed the same, as an accuracy may by chance.
        row = rf"^metrics/accuracy\.json +{part}\.{name} +{old} +{new} +-?[\d.]+$"
        assert old == new or re.search(row, said, re.MULTILINE), said
        differing += old != new
    assert differing >= 3

    said = run("dvc", "exp", "show", "--only-changed", "--csv", cwd=tidy)
    rows = {row["Experiment"] or row["rev"]: row for row in csv.DictReader(said.splitlines())}
    assert (rows["main"]["model.name"], rows["deep"]["model.name"]) == ("net", "netresdeep")
    loss = metrics(tidy)["val"]["loss"]
    assert float(rows["deep"]["val.loss"]) == pytest.approx(loss, abs=1e-5)


@pytest.mark.parametrize("command", ["show", "diff HEAD"])
def test_plots_page_has_curves_confusion_and_pictures(command: str, tidy: Path) -> None:
    run("dvc", "plots", *command.split(), "--out", "dvc_plots", cwd=tidy)
    page = (tidy / "dvc_plots" / "index.html").read_text().partition("<main>")[2]
    for title in ("Loss", "Accuracy", "Confusion of the val images", "Accuracy by confidence"):
        assert page.count(f'"text": "{title}"') == 1
    assert "mistakes.png" in page
    for picture in ("loss", "accuracy"):  # they show what the curves show
        assert f"{picture}.png" not in page
    assert run("git", "status", "--porcelain", "dvc_plots", cwd=tidy) == ""


@pytest.mark.slow
def test_experiments_elsewhere_leave_the_workspace_alone(tidy: Path) -> None:
    experiment(tidy, "--temp", "--name=aside", "train.lr=0.02")
    experiment(tidy, "--queue", "--name=queued", "model.name=netbn")
    run("dvc", "queue", "start", cwd=tidy)
    assert re.search(r"queued +.*Success", wait_for_queue(tidy))
    assert run("git", "status", "--porcelain", cwd=tidy) == ""
    shown = run("dvc", "exp", "show", "--csv", cwd=tidy)
    assert "aside" in shown and "queued" in shown
    run("dvc", "exp", "apply", "queued", cwd=tidy)
    assert metrics(tidy)["model"] == "netbn"
    assert yaml.safe_load((tidy / "params.yaml").read_text())["model"]["name"] == "netbn"


def stop_in_first_epoch(clone: Path) -> int:
    """Run `dvc repro`, press Ctrl-C after the first epoch; return the last epoch that was kept."""
    if sys.platform == "win32":
        pytest.skip("a process can't send Ctrl-C there")
    process = subprocess.Popen(
        ["dvc", "repro"],
        cwd=clone,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    said = ""
    while "epoch 1/5" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does
    said = process.stdout.read()
    assert process.wait() == 255
    stopped = re.search(r"stopped by SIGINT after epoch (\d+) of 5; the same run cont", said)
    assert stopped, said
    return int(stopped[1])


@pytest.mark.slow
def test_stopped_run_continues_in_any_mode_of_experiments(tidy: Path) -> None:
    """Stop `dvc repro`; then run the same settings with --temp, and from the queue."""
    settings = ("train.epochs=5", "train.seed=1")
    experiment(tidy, "--queue", "--name=stopped", *settings)
    text = (tidy / "params.yaml").read_text()
    text = text.replace("epochs: 1 ", "epochs: 5 ").replace("seed: 123", "seed: 1")
    (tidy / "params.yaml").write_text(text)
    epoch = stop_in_first_epoch(tidy)
    assert not (tidy / "models" / "model.pt").exists()

    run("git", "checkout", "--quiet", ".", cwd=tidy)
    said = experiment(tidy, "--temp", "--name=aside5", *settings)
    assert f"continuing after epoch {epoch} of 5" in said
    run("dvc", "queue", "start", cwd=tidy)
    assert re.search(r"stopped +.*Success", wait_for_queue(tidy))
    said = run("dvc", "queue", "logs", "stopped", cwd=tidy)
    # It is trained already; or DVC's run cache has its outputs.
    assert "continuing after epoch 5 of 5" in said or "is cached" in said, said
    locks = []
    for name in ("aside5", "stopped"):
        run("dvc", "exp", "apply", name, cwd=tidy)
        locks.append((tidy / "dvc.lock").read_text())
    assert locks[0] == locks[1]

    shutil.rmtree(tidy / ".dvc" / "tmp" / "snapshots")
    run("git", "reset", "--quiet", "--hard", cwd=tidy)
    experiment(tidy, "--force", *settings)  # never stopped
    assert (tidy / "dvc.lock").read_text() == locks[0]


@pytest.mark.slow
def test_six_queued_experiments_two_at_a_time_give_what_each_gives_alone(tidy: Path) -> None:
    for seed in range(1, 7):
        settings = (f"train.seed={seed}", "train.threads=1")
        experiment(tidy, "--queue", f"--name=queued{seed}", *settings)
    run("dvc", "queue", "start", "-j", "2", cwd=tidy)
    status = wait_for_queue(tidy)
    assert len(re.findall(r"queued\d +.*Success", status)) == 6, status
    assert run("git", "status", "--porcelain", cwd=tidy) == ""
    for seed in (1, 4):
        run("dvc", "exp", "apply", f"queued{seed}", cwd=tidy)
        together = (tidy / "dvc.lock").read_text()
        shutil.rmtree(tidy / ".dvc/tmp/snapshots")
        experiment(tidy, "--force", f"train.seed={seed}", "train.threads=1")
        assert (tidy / "dvc.lock").read_text() == together
        run("git", "reset", "--quiet", "--hard", cwd=tidy)
        run("dvc", "checkout", "--force", cwd=tidy)


@pytest.mark.slow
def test_six_stages_at_once_give_what_each_gives_alone(tidy: Path) -> None:
    """Processes of DVC with `--wait-for-lock`, as the zoo starts them, each with a seed."""
    many = tidy / "many"
    many.mkdir()
    cmd = STAGES["train"]["cmd"].replace("params.yaml", "many/${item.seed}.yaml")
    cmd = cmd.replace("models/model.pt", "many/${item.seed}.pt")
    cmd = cmd.replace("plots/training", "many/training-${item.seed}")
    outs = "['many/${item.seed}.pt', 'many/training-${item.seed}']"
    (many / "dvc.yaml").write_text(
        f"stages:\n  train:\n    matrix: {{seed: [1, 2, 3, 4, 5, 6]}}\n    wdir: ..\n"
        f"    cmd: >-\n      {cmd}\n    deps: [data/cifar2]\n    outs: {outs}\n"
    )
    for seed in range(1, 7):
        write(many / f"{seed}.yaml", train__epochs=2, train__threads=1, train__seed=seed)
    processes = [
        subprocess.Popen(
            ["dvc", "--wait-for-lock", "repro", "-s", f"many/dvc.yaml:train@{seed}"],
            cwd=tidy,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for seed in range(1, 7)
    ]
    for process in processes:
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
    together = {seed: (many / f"{seed}.pt").read_bytes() for seed in range(1, 7)}
    assert len(set(together.values())) == 6
    assert "up to date" in run("dvc", "status", "many/dvc.yaml", cwd=tidy)
    shutil.rmtree(tidy / ".dvc/tmp/snapshots")
    for seed in (1, 4):
        run("dvc", "repro", "-f", "-s", f"many/dvc.yaml:train@{seed}", cwd=tidy)
        assert (many / f"{seed}.pt").read_bytes() == together[seed]
    shutil.rmtree(many)
