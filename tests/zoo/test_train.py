"""`python -m zoo train` on a small zoo: what runs, what does not, what is kept and compared."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import contents, edit, environment, run, wait_for
from tests.zoo.conftest import TRIALS, add_comment, commit, runs_done, train, variant, write_zoo
from zoo import lock
from zoo.__main__ import main

pytestmark = pytest.mark.slow


def git_status(clone: Path) -> list[str]:
    return sorted(line[3:] for line in run("git", "status", "--short", cwd=clone).splitlines())


def test_results_are_of_every_variant_and_a_fresh_clone_is_up_to_date(
    trained: Path, tmp_path: Path
) -> None:
    """Without data and checkpoints."""
    fresh = tmp_path / "fresh"
    run("git", "clone", "--quiet", trained, fresh, cwd=tmp_path)
    folder = fresh / "zoo"
    results = json.loads((folder / "results.json").read_text())
    assert list(results) == ["res", "other"]
    assert results["other"]["epochs"] == 1 and len(results["res"]["val"]["seeds"]) == 2
    assert (folder / "trials.csv").read_text().splitlines()[1].startswith("try,1,")
    assert (folder / "cards/other.md").exists() and (folder / "cards/res.md").exists()
    assert [path.parent.name for path in folder.glob("runs/*/neither.csv")] == ["res-1"]
    assert train(fresh) == "4 of 4 runs are up to date\n"
    assert git_status(fresh) == []
    assert not (fresh / "data" / "raw").exists()


def test_a_run_that_fails_is_named_and_one_that_is_done_again_has_the_committed_bytes(
    zoo: Path,
) -> None:
    """Comments in a network and in the data code make its run and the data again.

    The former results of the run that fails stay, and are in no table.
    """
    before = {name: contents(zoo / "zoo" / name) for name in ("runs", "models")}
    edit(zoo / "zoo/params.yaml", "name: netwidth", "name: netdepth\n      train: {lr: 1.0e+9}")
    add_comment(zoo / "src/cifar2/models/netdepth.py")
    add_comment(zoo / "stages/filter.py")
    shutil.rmtree(zoo / "zoo/.dvc/tmp/snapshots")
    said = train(zoo, status=1)
    failed = r"^zoo: other-1: train: train\.lr: at 1e\+09 the loss became .* \(log: .*\.log\)$"
    assert re.search(failed, said, re.MULTILINE), said
    assert "\n4 of 4 runs done, 1 of them failed; running: none\n" in said
    assert runs_done(zoo) == ["other-1", "try-folds"]
    after = {name: contents(zoo / "zoo" / name) for name in ("runs", "models")}
    assert after["runs"].pop("try-folds/made_by") != before["runs"].pop("try-folds/made_by")
    assert after == before
    assert list(json.loads((zoo / "zoo" / "results.json").read_text())) == ["res"]
    assert (zoo / "zoo" / "trials.csv").read_text().splitlines()[1].startswith("try,1,")


def test_results_of_runs_that_were_taken_out_stay_and_are_not_compared(
    zoo: Path, tmp_path: Path
) -> None:
    """Then a fresh clone agrees."""
    write_zoo(zoo, quick={"seeds": [3], "variants": {"res": variant("netres")}}, trials=TRIALS)
    train(zoo)
    assert runs_done(zoo) == ["res-3"]
    assert (zoo / "zoo/models/res-2/model.pt").exists() and (zoo / "zoo/runs/other-1").exists()
    assert json.loads((zoo / "zoo/results.json").read_text())["res"]["val"]["std"] is None
    commit(zoo)
    run("git", "clone", "--quiet", zoo, tmp_path / "fresh", cwd=tmp_path)
    assert train(tmp_path / "fresh") == "2 of 2 runs are up to date\n"
    assert git_status(tmp_path / "fresh") == []


def test_checkpoints_and_results_come_back_from_the_cache(zoo: Path) -> None:
    """The root has another cache, so that each frees space for itself alone."""
    run("dvc", "gc", "--workspace", "--force", cwd=zoo)
    checkpoints = contents(zoo / "zoo" / "models")
    for name in ("models", "runs"):
        shutil.rmtree(zoo / "zoo" / name)
    said = run("dvc", "repro", cwd=zoo / "zoo")
    assert "Running stage 'compose'" in said
    assert not re.search(r"Running stage '(train|evaluate)", said), said
    assert contents(zoo / "zoo" / "models") == checkpoints
    run("dvc", "gc", "--workspace", "--force", cwd=zoo / "zoo")
    (zoo / "models/model.pt").unlink()
    run("dvc", "checkout", cwd=zoo)
    assert git_status(zoo) == []


def test_a_stopped_zoo_continues_and_edits_meanwhile_change_nothing(zoo: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("a process can't send Ctrl-C there")
    long = variant("net", train={"epochs": 60})
    write_zoo(zoo, quick={"seeds": [1], "variants": {"long": long}})
    log = zoo / "zoo" / ".dvc" / "tmp" / "zoo" / "long-1.log"

    def start(until: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "zoo", "train"], cwd=zoo, env=environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        wait_for(lambda: (log.exists() and until in log.read_text()) or process.poll() is not None)
        return process

    process = start("epoch 1/60")
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert said.splitlines()[-1] == "zoo: stopped; the same command continues from there"
    stopped = re.search(r"stopped by SIGINT after epoch (\d+) of 60", log.read_text())
    assert stopped
    process = start(f"continuing after epoch {stopped[1]} of 60")
    for name in ("stages/train.py", "stages/evaluate.py", "src/cifar2/inference/evaluation.py"):
        (zoo / name).write_text("raise ValueError")
    said, _ = process.communicate(timeout=60)
    assert "\n1 of 1 runs done, 0 of them failed; running: none\n" in said
    assert process.returncode == 0, said


@pytest.mark.parametrize("command", ["train", "adopt"])
def test_a_second_command_in_the_same_clone_is_refused(command: str) -> None:
    with lock.alone(), pytest.raises(SystemExit) as stopped:
        main([command])
    assert stopped.value.code == "zoo: another command trains or adopts the zoo of this clone"


def test_no_jobs_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--jobs", "0"])
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "zoo: error: --jobs: 0 is not allowed, at least 1"


def test_a_merge_conflict_is_named_in_one_line(zoo: Path) -> None:
    for command, name in (
        *(("train", f"zoo/{name}") for name in ("dvc.lock", "dvc.yaml", "params.yaml")),
        *(("train", "dvc.yaml"), ("adopt", "zoo/dvc.lock")),
    ):
        file = zoo / name
        content = file.read_bytes()
        file.write_text("stages:\n<<<<<<< HEAD\n  a: 1\n=======\n  a: 2\n>>>>>>> other\n")
        said = run("python", "-m", "zoo", command, cwd=zoo, status=1)
        file.write_bytes(content)
        by_dvc = f"DVC in {file.parent}: unable to read: '{file.name}', .*possible merge conflict"
        by_us = f"{file}: not valid YAML: line 3: "
        assert re.fullmatch(f"zoo: ({by_dvc}|{by_us}).*\n", said), said
