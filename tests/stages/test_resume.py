"""Interrupted trainings: the real stage is stopped in every way, and ends with the same bytes."""

import contextlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import train as train_stage

from tests.conftest import ROOT, contents, environment, wait_for, write
from tests.stages.conftest import tiny_data

EPOCHS = 60

# The real stage, except that it writes a snapshot after every epoch, and that it takes SLOW seconds
# longer for it, between the file's last byte and its renaming.
DRIVER = f"""
import os, sys, time
sys.path.insert(0, {str(ROOT / "stages")!r})
import train, _stage
from cifar2 import snapshot
snapshot.INTERVAL = 0
fsync = os.fsync
os.fsync = lambda file: (fsync(file), time.sleep(float(os.environ["SLOW"])))
_stage.run(train.main, "", settings="", data="", model="", history="", snapshots="")
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder in which an undisturbed training has left its outputs."""
    path = tmp_path_factory.mktemp("undisturbed")
    data = tiny_data(path / "data")
    # This network draws random numbers in training, and has running statistics.
    settings = write(
        path / "params.yaml", model__name="net1", train__epochs=EPOCHS, train__threads=1
    )
    out = path / "undisturbed"
    train_stage.main(settings, data, out / "model.pt", out / "history", path / "elsewhere")
    return path


@pytest.fixture
def folder(undisturbed: Path, tmp_path: Path) -> Path:
    """Give a copy of it."""
    return shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)


def start(folder: Path, out: str, slow: float = 0.1) -> subprocess.Popen[str]:
    """Train in a process of its own."""
    words = ["--settings", "params.yaml", "--data", "data", "--model", f"{out}/model.pt"]
    words += ["--history", f"{out}/history", "--snapshots", "snapshots"]
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, *words],
        cwd=folder,
        env=environment(SLOW=str(slow)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(folder: Path, out: str) -> str:
    process = start(folder, out, slow=0)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return said


def same_as_undisturbed(folder: Path, out: str = "out") -> bool:
    return contents(folder / out) == contents(folder / "undisturbed")


def written(folder: Path, pattern: str, since: float) -> bool:
    """Tell whether a snapshot, or a part of one, was written after a point in time."""
    with contextlib.suppress(FileNotFoundError):  # renamed just now
        return any(path.stat().st_mtime > since for path in (folder / "snapshots").glob(pattern))
    return False


def snapshots(folder: Path) -> list[Path]:
    return list((folder / "snapshots").glob("*.pt"))


@pytest.mark.slow
def test_killed_at_any_moment_a_training_ends_with_the_same_bytes(folder: Path) -> None:
    """Kill it while it starts, between two epochs, and often while it writes a snapshot."""
    if sys.platform == "win32":
        pytest.skip("it has no SIGKILL")
    moments = random.Random(0)
    resumed = 0
    for kill in range(22):
        began = time.time()
        process = start(folder, "out")
        if kill % 2:
            wait_for(partial(written, folder, ".*.part", began))
        elif kill % 4:
            wait_for(partial(written, folder, "*.pt", began))
            time.sleep(moments.uniform(0, 0.3))
        else:
            time.sleep(moments.uniform(0, 1))
        process.kill()
        _, said = process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not (folder / "out" / "model.pt").exists()
        assert "Traceback" not in said and "not a snapshot" not in said
        resumed += "continuing after epoch" in said
    assert resumed >= 5
    assert "continuing after epoch" in finish(folder, "out")
    assert same_as_undisturbed(folder)


@pytest.mark.parametrize(
    "name",
    ["SIGINT", *(pytest.param(name, marks=pytest.mark.slow) for name in ("SIGTERM", "SIGHUP"))],
)
def test_stopped_training_continues_after_its_last_epoch(name: str, folder: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("a process can't send these signals there")
    process = start(folder, "out")
    wait_for(lambda: bool(snapshots(folder)))
    process.send_signal(signal.Signals[name])
    _, said = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.Signals[name]
    stopped = re.fullmatch(
        rf"-c: stopped by {name} after epoch (\d+) of {EPOCHS};"
        " the same run continues from there",
        said.splitlines()[-1],
    )
    assert stopped, said
    assert not (folder / "out" / "model.pt").exists()
    assert f"continuing after epoch {stopped[1]} of {EPOCHS}" in finish(folder, "out")
    assert same_as_undisturbed(folder)


@pytest.mark.slow
def test_second_of_two_same_trainings_waits_for_the_first(folder: Path) -> None:
    """It takes over what the first has trained."""
    first = start(folder, "out", slow=0.5)  # so that the second has time to start
    wait_for(lambda: bool(snapshots(folder)))
    said = finish(folder, "second")
    assert "another process trains the same run; waiting for it to end" in said
    assert f"continuing after epoch {EPOCHS} of {EPOCHS}" in said
    first.communicate(timeout=60)
    assert same_as_undisturbed(folder) and same_as_undisturbed(folder, "second")
