"""Interrupted runs: the real stage is stopped in every way, and ends with the same bytes."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import train as train_stage

from cifar2 import snapshot
from tests.conftest import ROOT, contents, environment, write
from tests.test_stages import tiny_data

EPOCHS = 60

# The real stage, but that it writes a snapshot after every epoch, and takes SLOW seconds more for
# it, between the file's last byte and its renaming.
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
    """Give a folder in which an undisturbed run has left its output, and its snapshot."""
    path = tmp_path_factory.mktemp("undisturbed")
    tiny_data(path / "data")
    settings(path)
    train(path, "undisturbed")
    return path


@pytest.fixture
def folder(undisturbed: Path, tmp_path: Path) -> Path:
    """Give a copy of it."""
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    return tmp_path


def settings(folder: Path, **changes: object) -> None:
    """Choose the network that draws random numbers as it trains and has running statistics."""
    usual = {"model__name": "net1", "train__epochs": EPOCHS, "train__threads": 1}
    write(folder / "params.yaml", **(usual | changes))


def start(
    folder: Path, out: str, snapshots: str = "snapshots", slow: float = 0.1
) -> subprocess.Popen[str]:
    words = ["--settings", "params.yaml", "--data", "data", "--model", f"{out}/model.pt"]
    words += ["--history", f"{out}/history", "--snapshots", snapshots]
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, *words],
        cwd=folder,
        env=environment(SLOW=str(slow)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(folder: Path, out: str, snapshots: str = "snapshots") -> str:
    process = start(folder, out, snapshots, slow=0)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return said


def train(folder: Path, out: str = "out") -> None:
    """Train in this process, with the snapshots that the undisturbed run, too, has."""
    train_stage.main(
        folder / "params.yaml",
        folder / "data",
        folder / out / "model.pt",
        folder / out / "history",
        folder / "left",
    )


def as_undisturbed(folder: Path, out: str = "out") -> bool:
    return contents(folder / out) == contents(folder / "undisturbed")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def written(folder: Path, pattern: str, since: float) -> bool:
    """Tell whether a snapshot, or a part of one, was written after a point in time."""
    with contextlib.suppress(FileNotFoundError):  # renamed just now
        return any(path.stat().st_mtime > since for path in (folder / "snapshots").glob(pattern))
    return False


def snapshots(folder: Path) -> list[Path]:
    return list((folder / "snapshots").glob("*.pt"))


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_bytes(folder: Path) -> None:
    """As it starts, between two epochs, and every other time while it writes a snapshot."""
    moments = random.Random(0)
    kills = resumed = 0
    while kills < 22:
        began = time.time()
        process = start(folder, "out")
        if kills % 2:
            wait_for(partial(written, folder, ".*.part", began))
        elif kills % 4:
            wait_for(partial(written, folder, "*.pt", began))
            time.sleep(moments.uniform(0, 0.3))
        else:
            time.sleep(moments.uniform(0, 1))
        process.kill()
        _, said = process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not (folder / "out" / "model.pt").exists()
        assert "Traceback" not in said and "is no snapshot" not in said
        resumed += "going on after epoch" in said
        kills += 1
    assert resumed >= 5
    assert "going on after epoch" in finish(folder, "out")
    assert as_undisturbed(folder)


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        *(pytest.param(n, marks=pytest.mark.slow) for n in (signal.SIGTERM, signal.SIGHUP)),
    ],
)
def test_stopped_it_saves_the_last_epoch_and_says_how_to_go_on(
    number: signal.Signals, folder: Path
) -> None:
    process = start(folder, "out")
    wait_for(lambda: bool(snapshots(folder)))
    time.sleep(0.5)
    process.send_signal(number)
    time.sleep(0.02)
    process.send_signal(number)  # again: it is not to be torn from its saving
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    line = said.splitlines()[-1]
    assert line.startswith(f"-c: stopped by {number.name} after epoch ")
    assert line.endswith(f" of {EPOCHS}; the same run again goes on from there")
    epoch = line.split()[6]
    assert not (folder / "out" / "model.pt").exists()
    assert f"going on after epoch {epoch} of {EPOCHS}" in finish(folder, "out")
    assert as_undisturbed(folder)


def test_a_finished_run_is_not_trained_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(folder)
    assert f"after epoch {EPOCHS} of {EPOCHS}" in capsys.readouterr().err
    assert as_undisturbed(folder)


@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage", "another's", "a bit"])
def test_a_damaged_snapshot_is_a_warning_and_a_fresh_start(
    damage: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    (path,) = (folder / "left").glob("*.pt")
    whole = path.read_bytes()
    middle = len(whole) // 2
    if damage == "another's":
        content = snapshot.Snapshot(path, path.stem).content
        assert content is not None
        other = snapshot.Snapshot(folder / "other.pt", "another")
        other.put(content)
        other.write()
        whole = (folder / "other.pt").read_bytes()
    path.write_bytes(
        {
            "truncated": whole[:middle],
            "empty": b"",
            "garbage": b"garbage" * 1000,
            "another's": whole,
            "a bit": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        }[damage]
    )
    train(folder)
    assert "going on" not in capsys.readouterr().err
    assert f"{path.name}: is no snapshot of this run; starting afresh" in caplog.text
    assert as_undisturbed(folder)


@pytest.mark.parametrize("key", ["lr", "seed", "batch_size", "epochs", "threads"])
def test_another_setting_starts_afresh(
    key: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {"lr": 0.02, "seed": 1, "batch_size": 8, "epochs": EPOCHS + 1, "threads": 2}
    settings(folder, **{f"train__{key}": values[key]})
    train(folder)
    assert "going on" not in capsys.readouterr().err
    assert len(list((folder / "left").glob("*.pt"))) == 2


@pytest.mark.slow
def test_two_at_once_share_nothing(folder: Path) -> None:
    """The second waits, and takes over what the first has trained."""
    first = start(folder, "out", slow=0.5)  # so that the second has time to start
    wait_for(lambda: bool(snapshots(folder)))
    said = finish(folder, "second")
    assert "another process trains the same; waiting for it to end" in said
    assert f"going on after epoch {EPOCHS} of {EPOCHS}" in said
    first.communicate(timeout=60)
    assert as_undisturbed(folder) and as_undisturbed(folder, "second")


def test_old_snapshots_are_removed_and_none_that_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ages = {"older": 40, "old": 20, "new": 1}
    for name, days in ages.items():
        with snapshot.kept(tmp_path, name) as kept:
            kept.put({"name": name})
        then = time.time() - days * 24 * 3600
        os.utime(tmp_path / f"{name}.pt", (then, then))
    (tmp_path / ".killed.pt.part").write_bytes(b"x")
    os.utime(tmp_path / ".killed.pt.part", (0, 0))
    with snapshot.kept(tmp_path, "other"):
        assert names(tmp_path) == {"old.pt", "new.pt"}
    size = (tmp_path / "new.pt").stat().st_size
    monkeypatch.setattr(snapshot, "MAX_BYTES", size + 1)
    with snapshot.kept(tmp_path, "old"):
        assert names(tmp_path) == {"old.pt", "new.pt"}
    with snapshot.kept(tmp_path, "other"):
        assert names(tmp_path) == {"new.pt"}


def test_a_snapshot_that_another_process_has_just_removed(tmp_path: Path) -> None:
    """It is in the list of the folder, and then it is not there."""
    (tmp_path / "gone.pt").symlink_to(tmp_path / "nowhere")
    with snapshot.kept(tmp_path, "mine") as kept:
        assert kept.content is None


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}
