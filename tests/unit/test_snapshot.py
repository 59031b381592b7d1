"""Snapshots: what they belong to, when they are written, which are read and which removed."""

import contextlib
import errno
import importlib
import os
import pickle
import pkgutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import cifar2
from cifar2 import PLUMBING, files, snapshot
from tests.conftest import wait_for
from tests.unit.settings import OTHERS, settings

CPU = torch.device("cpu")
DAY = 24 * 3600


# The key.


def key(*inputs: Path, device: torch.device = CPU, **changes: Any) -> str:
    return snapshot.key(settings(**changes), device, inputs)


NOT_OF_THE_TRAINING = {
    "data__classes": ["cat", "dog"],
    "data__source": "synthetic",
    "data__holdout": 0.2,
    "data__fold": 3,
    "train__device": "cpu",  # `auto` and `cpu` may mean the same device
    "evaluation__mirror": True,
    "evaluation__test": False,
}
UNUSED = ("model__n_chans1", "model__n_blocks", "model__dropout", "model__shared_blocks")


@pytest.mark.parametrize("setting", OTHERS)
def test_key_changes_with_a_setting_that_the_training_uses(setting: str) -> None:
    network = "net1" if setting == "model__dropout" else "netresdeep"
    usual: dict[str, Any] = {"model__name": network, "train__momentum": 0.9}
    assert key(**usual | {setting: OTHERS[setting]}) != key(**usual)


@pytest.mark.parametrize(
    "setting", [*NOT_OF_THE_TRAINING, *UNUSED, "train__momentum", "train__nesterov"]
)
def test_key_does_not_change_with_a_setting_that_the_training_does_not_use(setting: str) -> None:
    every = OTHERS | NOT_OF_THE_TRAINING
    usual: dict[str, Any] = {
        "train__optimizer": "adam",
        "train__momentum": 0.9,
        "data__holdout": 0.1,
    }
    assert key(**usual | {setting: every[setting]}) == key(**usual)
    groups = settings().model_dump().items()
    assert every.keys() == {f"{group}__{name}" for group, values in groups for name in values}


def test_key_changes_with_the_content_of_each_input_and_not_with_its_place(tmp_path: Path) -> None:
    data, script, moved = tmp_path / "data", tmp_path / "script", tmp_path / "moved"
    for path in (data, moved):
        path.write_bytes(b"data")
    script.write_bytes(b"script")
    usual = key(data, script)
    assert key(moved, script) == usual
    data.write_bytes(b"other data")
    assert key(data, script) != usual
    script.write_bytes(b"other script")
    assert key(moved, script) != usual


def test_key_changes_with_the_device_pytorch_and_its_kernels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gpu(chip: str, index: int) -> str:
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: chip)
        return key(device=torch.device("cuda", index))

    for variable in snapshot.KERNELS:
        monkeypatch.delenv(variable, raising=False)
    keys = [key(), key(device=torch.device("mps")), gpu("A", 0), gpu("A", 1), gpu("B", 0)]
    for variable in snapshot.KERNELS:
        monkeypatch.setenv(variable, "1")
        keys.append(key())
    monkeypatch.setattr(torch, "__version__", "0.1")
    keys.append(key())
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "ABACUS")
    keys.append(key())
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    "name", [module.name for module in pkgutil.walk_packages(cifar2.__path__, "cifar2.")]
)
def test_key_changes_with_the_code_of_a_module_unless_it_is_plumbing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module(name)
    assert module.__file__ is not None
    edited = tmp_path / "edited.py"
    edited.write_bytes(Path(module.__file__).read_bytes() + b"# a comment\n")
    usual = key()
    monkeypatch.setattr(module, "__file__", str(edited))
    assert (key() == usual) == (name in PLUMBING)


# Reading and writing one.


def write(path: Path, key: str = "mine") -> bytes:
    one = snapshot.Snapshot(path, key)
    one.put({"epoch": 3, "weight": torch.arange(5.0)})
    one.write()
    return path.read_bytes()


def test_snapshot_is_read_by_the_next_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "mine.pt"
    assert snapshot.Snapshot(path, "mine").content is None
    write(path)
    content = snapshot.Snapshot(path, "mine").content
    assert content is not None
    assert content["epoch"] == 3 and content["weight"].tolist() == [0, 1, 2, 3, 4]
    assert caplog.text == ""


@pytest.mark.parametrize(
    "damaged",
    [
        lambda path: write(path)[:1000],
        lambda path: b"",
        lambda path: b"short",
        lambda path: 1000 * b"garbage",
        lambda path: write(path).replace(b"epoch", b"epoce"),
        lambda path: write(path, key="another"),
    ],
    ids=["truncated", "empty", "short", "garbage", "a changed letter", "of another run"],
)
def test_damaged_snapshot_is_a_warning_and_no_content(
    damaged: Callable[[Path], bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "mine.pt"
    path.write_bytes(damaged(tmp_path / "other.pt"))
    assert snapshot.Snapshot(path, "mine").content is None
    assert caplog.messages == [f"{path}: not a snapshot of this run; starting from the beginning"]


def test_code_in_a_snapshot_is_never_run(tmp_path: Path) -> None:
    class MakesAFolder:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "was run"),)

    one = snapshot.Snapshot(tmp_path / "mine.pt", "mine")
    one.put({"hostile": MakesAFolder()})
    one.write()
    with contextlib.suppress(pickle.UnpicklingError):
        assert snapshot.Snapshot(tmp_path / "mine.pt", "mine").content is None
    assert not (tmp_path / "was run").exists()


def test_what_is_put_is_written_after_the_interval_and_only_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = snapshot.Snapshot(tmp_path / "mine.pt", "mine")
    monkeypatch.setattr(snapshot, "INTERVAL", 3600)
    one.put({"epoch": 1})
    assert one.content == {"epoch": 1}
    assert not one.path.exists()
    monkeypatch.setattr(snapshot, "INTERVAL", 0)
    one.put({"epoch": 2})
    again = snapshot.Snapshot(one.path, "mine")
    assert again.content == {"epoch": 2}
    one.path.unlink()
    for each in (one, again):  # written by this process, or by an earlier one
        each.write()
    assert not one.path.exists()


def test_failed_write_is_a_warning_and_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_space(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    one = snapshot.Snapshot(tmp_path / "mine.pt", "mine")
    one.put({"epoch": 1})
    with monkeypatch.context() as patch:
        patch.setattr(files, "write", no_space)
        one.write()
    assert caplog.messages == [
        f"can't write a snapshot: {tmp_path / 'mine.pt'}: No space left on device"
    ]
    one.write()
    assert snapshot.Snapshot(tmp_path / "mine.pt", "mine").content == {"epoch": 1}


# Keeping them in a folder.


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def age(path: Path, days: float) -> None:
    then = time.time() - days * DAY
    os.utime(path, (then, then))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with snapshots that are 20, 10 and 1 days old."""
    for name, days in {"oldest": 20, "older": 10, "new": 1}.items():
        with snapshot.kept(tmp_path, name) as kept:
            kept.put({"name": name})
        age(tmp_path / f"{name}.pt", days)
    return tmp_path


def test_snapshot_is_written_at_the_end_even_if_the_run_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), snapshot.kept(tmp_path / "new", "mine") as kept:
        kept.put({"epoch": 1})
        assert not kept.path.exists()
        raise KeyboardInterrupt
    with snapshot.kept(tmp_path / "new", "mine") as kept:
        assert kept.content == {"epoch": 1}


def test_files_over_a_month_old_are_removed_unless_a_process_writes_them(folder: Path) -> None:
    """Also the part of a file that a killed process left."""
    age(folder / "oldest.pt", 31)
    # Another process has just removed it: it is in the list of the files, and then it is not there.
    (folder / "gone.pt").symlink_to(folder / "nowhere")
    with snapshot.kept(folder, "running"):
        for name, days in {"killed": 31, "writing": 0, "running": 31}.items():
            (folder / f".{name}.pt.part").write_bytes(b"x")
            age(folder / f".{name}.pt.part", days)
        with snapshot.kept(folder, "mine"):
            left = {"older.pt", "new.pt", ".writing.pt.part", ".running.pt.part", "gone.pt"}
            assert names(folder) == left


def test_oldest_snapshots_are_removed_where_all_together_are_too_big_but_none_in_use(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (folder / "new.pt").stat().st_size + (folder / "older.pt").stat().st_size
    monkeypatch.setattr(snapshot, "MAX_BYTES", size)
    with snapshot.kept(folder, "mine"):
        assert names(folder) == {"older.pt", "new.pt"}
    monkeypatch.setattr(snapshot, "MAX_BYTES", size - 1)
    with snapshot.kept(folder, "older") as kept:
        assert kept.content == {"name": "older"}
        assert names(folder) == {"older.pt", "new.pt"}
        monkeypatch.setattr(snapshot, "MAX_BYTES", 0)
        with snapshot.kept(folder, "another"):
            assert names(folder) == {"older.pt"}
    with snapshot.kept(folder, "another"):
        assert names(folder) == set()


def test_second_run_with_the_same_key_waits_and_gets_what_the_first_has_done(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    got: list[object] = []

    def second() -> None:
        with snapshot.kept(tmp_path, "mine") as kept:
            got.append(kept.content)

    thread = threading.Thread(target=second, daemon=True)
    with snapshot.kept(tmp_path, "mine") as kept, snapshot.kept(tmp_path, "another"):
        assert caplog.messages == []  # runs with different keys don't wait for each other
        thread.start()
        wait_for(lambda: caplog.messages)
        assert caplog.messages == ["another process trains the same run; waiting for it to end"]
        kept.put({"epoch": 1})
        time.sleep(0.05)  # if the second did not wait, it would have nothing now
        assert got == []
    thread.join(timeout=60)
    assert got == [{"epoch": 1}]
