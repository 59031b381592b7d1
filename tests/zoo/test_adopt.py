"""`python -m zoo adopt`: changed code is recorded where it gives the same bytes, else refused."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import edit, environment, run, wait_for
from tests.zoo.conftest import (
    add_comment,
    commit,
    locked_runs,
    train,
    variant,
    write_zoo,
)
from zoo.adopt import Refused, _compare_libraries

pytestmark = pytest.mark.slow
LOOP = "src/cifar2/training/loop.py"


def adopt(clone: Path, status: int = 0) -> str:
    return run("python", "-m", "zoo", "adopt", cwd=clone, status=status)


def modified(clone: Path) -> list[str]:
    return run("git", "diff", "--name-only", "HEAD", cwd=clone).split()


@pytest.fixture
def one_run(zoo: Path) -> Path:
    """Give a zoo with `baseline-1` alone, and the main pipeline beside it."""
    write_zoo(zoo, quick={"seeds": [1], "variants": {"baseline": variant("net")}})
    return zoo


def test_a_change_that_keeps_the_bytes_is_recorded(zoo: Path) -> None:
    """For the seeds of a variant at once, without checkpoints, although it is committed."""
    before = locked_runs(zoo)
    shutil.rmtree(zoo / "zoo" / "models")  # as in a fresh clone
    for name in ("netres", "netdepth"):
        add_comment(zoo / f"src/cifar2/models/{name}.py")
    commit(zoo)
    add_comment(zoo / "README.md")
    commit(zoo)
    said = adopt(zoo)
    assert re.search(r"^res: all bytes are the same \(\d+ s\); adopted for seeds 1, 2$", said, re.M)
    assert said.splitlines()[-1] == "zoo: 3 trainings adopted, 0 refused"
    signed = [f"zoo/runs/{name}/made_by" for name in ("res-1", "res-2", "try-1")]
    assert modified(zoo) == ["zoo/dvc.lock", *signed]
    assert train(zoo) == "5 of 5 runs are up to date\n"
    after = locked_runs(zoo)
    for name, stage in after.items():
        kept = [out for out in stage["outs"] if not out["path"].endswith("made_by")]
        assert kept == [out for out in before[name]["outs"] if out in kept]
    assert after != before
    assert adopt(zoo) == "zoo: every training has the present code\n"


def test_a_new_setting_that_is_off_is_recorded_for_the_main_pipeline_too(one_run: Path) -> None:
    edit(one_run / "params.yaml", "evaluation:\n", "  noise: 0.0  # a new setting\nevaluation:\n")
    field = "    crop: Annotated"
    edit(one_run / "src/cifar2/params.py", field, f"    noise: Float\n{field}")
    said = adopt(one_run)
    assert re.search(r"^main pipeline: all bytes are the same \(\d+ s\); adopted$", said, re.M)
    assert said.splitlines()[-1] == "zoo: 2 trainings adopted, 0 refused"
    assert train(one_run) == "1 of 1 runs are up to date\n"
    assert "Running stage 'train'" not in run("dvc", "repro", cwd=one_run)


def test_a_difference_of_a_millionth_in_a_later_epoch_is_refused(one_run: Path) -> None:
    locked = locked_runs(one_run), (one_run / "dvc.lock").read_bytes()
    later = "(loss * (1 + 1e-6 * (state.epoch >= 3))).backward()"
    edit(one_run / LOOP, "loss.backward()", later)
    said = adopt(one_run, status=1)
    refused = r"^baseline-1: refused: the bytes differ: models/baseline-1/model\.pt"
    assert re.search(refused, said, re.MULTILINE), said
    assert said.splitlines()[-1] == "zoo: 0 trainings adopted, 2 refused"
    assert (locked_runs(one_run), (one_run / "dvc.lock").read_bytes()) == locked


def test_another_setting_and_code_that_fails_are_refused(zoo: Path) -> None:
    write_zoo(
        zoo,
        quick={"seeds": [1], "variants": {"baseline": variant("net")}},
        middle={"seeds": [1], "variants": {"res": variant("netres")}},
    )
    edit(zoo / "src/cifar2/models/net.py", "def forward", "def forwards")
    edit(zoo / "params.yaml", "n_chans1: 32", "n_chans1: 16")
    said = adopt(zoo, status=1)
    assert "\nbaseline-1: refused: the present code fails: NotImplementedError: " in said
    for name in ("main pipeline", "res-1"):  # its file of settings has all keys
        assert f"{name}: refused: model.n_chans1 was 32, now it is 16\n" in said


def test_only_what_was_checked_is_recorded(one_run: Path) -> None:
    """An edit of the code or of the settings of a run during the check is named."""
    locked = locked_runs(one_run), (one_run / "dvc.lock").read_bytes()
    add_comment(one_run / LOOP)
    scratch = one_run / "scratch"
    scratch.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "zoo", "adopt"], cwd=one_run, text=True, stdout=subprocess.PIPE,
        env=environment(TMPDIR=str(scratch)),
    )  # fmt: skip
    wait_for(lambda: list(scratch.glob("*/recorded/log")) or process.poll() is not None)
    edit(one_run / LOOP, "loss.backward()", "(2 * loss).backward()")
    add_comment(one_run / "zoo/settings/evaluate/baseline-1.yaml")
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert f"\nmain pipeline: refused: edited during the check: {LOOP}\n" in f"\n{said}"
    settings = "settings/evaluate/baseline-1.yaml"
    assert f"\nbaseline-1: refused: edited during the check: {settings}\n" in said
    assert (locked_runs(one_run), (one_run / "dvc.lock").read_bytes()) == locked


def test_a_shallow_clone_lacks_the_recorded_code(one_run: Path, tmp_path: Path) -> None:
    commit(one_run)
    add_comment(one_run / "src/cifar2/models/net.py")
    commit(one_run)
    shallow = tmp_path / "shallow"
    run("git", "clone", "--quiet", "--depth=1", one_run.as_uri(), shallow, cwd=tmp_path)
    shutil.copytree(one_run / ".dvc" / "cache", shallow / ".dvc" / "cache", copy_function=os.link)
    said = adopt(shallow, status=1)
    reason = "no commit has the code that it was trained with in this shallow clone;"
    assert f"baseline-1: refused: {reason} `git fetch --unshallow` gets the others\n" in said


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("requirements.txt", "torch==1.0\n"),
        ("pyproject.toml", 'dependencies = [\n  "torch==1.0",\n]\n'),
    ],
)
def test_other_libraries_are_refused(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(Refused, match=r"^trained with torch 1\.0; here is \d+\.\d"):
        _compare_libraries(tmp_path)
