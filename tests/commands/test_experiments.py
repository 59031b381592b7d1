"""`dvc exp run` and the commands that compare and keep experiments."""

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
from tests.commands.test_errors import go_back
from tests.conftest import edit, environment, run, wait_for, wait_for_queue


def test_another_model_is_kept_and_left_by_the_usual_commands(tidy: Path) -> None:
    said = experiment(tidy, "--name=deep", "model.name=netresdeep", "model.n_blocks=1")
    assert stages_run(said) == ["settings", "train", "evaluate", "plot"]
    assert "Ran experiment(s): deep" in said
    deep = metrics(tidy)
    assert deep["model"] == "netresdeep"
    changes = run("git", "diff", "--unified=0", "params.yaml", cwd=tidy).splitlines()
    # The comment may keep its column.
    assert [re.sub(" +#", "  #", line) for line in changes if re.match(r"[-+] ", line)] == [
        "-  name: net",
        "+  name: netresdeep",
        "-  n_blocks: 10  # residual blocks of netresdeep",
        "+  n_blocks: 1  # residual blocks of netresdeep",
    ]
    run("git", "restore", "--staged", "--worktree", ".", cwd=tidy)
    run("dvc", "exp", "apply", "deep", cwd=tidy)
    assert metrics(tidy) == deep
    experiment(tidy, "train.epochs=0", status=255)
    go_back(tidy)


def test_holdout_shows_val_and_test_and_a_fold_has_other_val_images(tidy: Path) -> None:
    usual = metrics(tidy)
    said = experiment(tidy, "--name=held", "data.holdout=0.2", "model.name=netres")
    assert stages_run(said)[:3] == ["settings", "filter", "train"]
    held = metrics(tidy)
    assert held["test"] != held["val"] and "test" not in usual
    shown = run("dvc", "metrics", "diff", cwd=tidy)
    assert re.search(r"^metrics/accuracy\.json +test\.accuracy +- ", shown, re.MULTILINE), shown
    assert "| test | " in (tidy / "models/README.md").read_text()

    # Without `test`, nothing is trained.
    said = experiment(tidy, "evaluation.test=false")
    assert stages_run(said) == ["settings", "evaluate", "plot"]
    assert "test" not in metrics(tidy)
    experiment(tidy, "data.fold=4")
    assert metrics(tidy)["val"] != held["val"]
    said = experiment(tidy, "data.fold=5", status=255)
    assert "data.fold: 5: a data.holdout of 0.2 has folds 0 to 4" in said


@pytest.mark.slow
def test_queued_experiments_two_at_a_time_give_what_each_gives_alone(tidy: Path) -> None:
    for seed in (1, 2, 3):
        settings = (f"train.seed={seed}", "train.threads=1", "model.name=netbn")
        experiment(tidy, "--queue", f"--name=queued{seed}", *settings)
    run("dvc", "queue", "start", "-j", "2", cwd=tidy)
    status = wait_for_queue(tidy)
    assert len(re.findall(r"queued\d +.*Success", status)) == 3, status
    assert run("git", "status", "--porcelain", cwd=tidy) == ""  # the workspace was left alone
    run("dvc", "exp", "apply", "queued2", cwd=tidy)
    assert metrics(tidy)["model"] == "netbn"
    assert yaml.safe_load((tidy / "params.yaml").read_text())["train"]["seed"] == 2
    together = (tidy / "dvc.lock").read_text()
    shutil.rmtree(tidy / ".dvc/tmp/snapshots")
    run("dvc", "repro", "--force", cwd=tidy)
    assert (tidy / "dvc.lock").read_text() == together


def stop_in_first_epoch(clone: Path) -> int:
    """Run `dvc repro`, press Ctrl-C after the first epoch; return the last epoch that was kept."""
    if sys.platform == "win32":
        pytest.skip("a process can't send Ctrl-C there")
    with open(clone.with_name("said"), "w+") as output:
        process = subprocess.Popen(
            ["dvc", "repro"], cwd=clone, env=environment(), stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
        wait_for(lambda: "epoch 1/100" in Path(output.name).read_text())
        os.killpg(process.pid, signal.SIGINT)  # as the terminal does
        assert process.wait() == 255
    said = Path(output.name).read_text()
    stopped = re.search(r"stopped by SIGINT after epoch (\d+) of 100; the same run cont", said)
    assert stopped, said
    return int(stopped[1])


@pytest.mark.slow
def test_stopped_run_continues_as_an_experiment_in_a_copy(tidy: Path) -> None:
    """It ends with the bytes of a run that was never stopped."""
    edit(tidy / "params.yaml", "epochs: 1 ", "epochs: 100 ")
    epoch = stop_in_first_epoch(tidy)
    assert not (tidy / "models" / "model.pt").exists()
    run("git", "restore", ".", cwd=tidy)
    said = experiment(tidy, "--temp", "--name=aside", "train.epochs=100")
    assert f"continuing after epoch {epoch} of 100" in said
    run("dvc", "exp", "apply", "aside", cwd=tidy)
    lock = (tidy / "dvc.lock").read_text()
    shutil.rmtree(tidy / ".dvc" / "tmp" / "snapshots")
    run("dvc", "repro", "--force", "--single-item", "train", cwd=tidy)  # never stopped
    assert (tidy / "dvc.lock").read_text() == lock
