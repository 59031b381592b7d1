"""What VS Code does in a clone: the tasks of this project, and the calls of its DVC extension."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from dvc.cli import parse_args

from tests.commands.conftest import experiment
from tests.conftest import ROOT, copy_clone, environment, run, wait_for, wait_for_queue

CALLS = (
    "exp show --json",
    "plots diff HEAD workspace --json -o .dvc/tmp/plots --split",
    "data status --granular --unchanged --json",
    "params diff --json",
)


def test_tasks_are_commands_of_dvc() -> None:
    json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_bytes())
    json.loads((ROOT / ".vscode" / "extensions.json").read_bytes())
    for task in json.loads((ROOT / ".vscode" / "tasks.json").read_bytes())["tasks"]:
        assert " ".join([task["command"], *task["args"]]).startswith(task["label"])
        assert parse_args(task["args"])  # an unknown command or option is an error


def answers(clone: Path) -> dict[str, str]:
    """Return the JSON that each call of the extension prints."""
    found: dict[str, str] = {}
    for call in CALLS:
        words = ["dvc", *call.split()]
        done = subprocess.run(words, cwd=clone, env=environment(), capture_output=True, text=True)
        assert done.returncode == 0, f"{call}\n{done.stderr}"
        json.loads(found.setdefault(call, done.stdout))
    return found


@pytest.mark.slow
def test_dvc_extension_is_answered_during_a_training_and_after_a_failure(
    clone: Path, tmp_path: Path
) -> None:
    clone, log = copy_clone(clone, tmp_path / "clone"), tmp_path / "log"
    words = ["dvc", "exp", "run", "-S", "train.epochs=100000", "-S", "train.seed=7"]
    with (
        log.open("wb") as out,
        subprocess.Popen(
            words, cwd=clone, env=environment(), stdout=out, stderr=out, start_new_session=True
        ) as process,
    ):
        try:
            wait_for(lambda: "epoch 1/" in log.read_text())
            assert '"new": 100000' in answers(clone)["params diff --json"]
            assert process.poll() is None
        finally:
            os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
    answers(clone)
    run("bash", "-c", "git restore --staged --worktree . && dvc checkout --force", cwd=clone)
    experiment(clone, "--queue", "train.epochs=0")
    run("dvc", "queue", "start", cwd=clone)
    assert "Failed" in wait_for_queue(clone)
    assert '"returncode": 255' in answers(clone)["exp show --json"]
