"""Snapshots: what they belong to, when they are written, which are read and which removed."""

import errno
import importlib
import os
import pkgutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import cifar2
from cifar2 import PLUMBING, files, snapshot
from tests.unit.settings import NOT_OF_A_TRAINING, OTHERS, settings

CPU = torch.device("cpu")


# The key


def key(device: torch.device = CPU, **changes: Any) -> str:
    return snapshot.key(settings(**changes), device, inputs=[])


@pytest.mark.parametrize("setting", OTHERS)
def test_key_changes_with_a_setting_that_the_training_uses(setting: str) -> None:
    network = "net1" if setting == "model__dropout" else "netresdeep"
    usual: dict[str, Any] = {"model__name": network, "train__momentum": 0.9, "data__holdout": 0.2}
    assert key(**usual | {setting: OTHERS[setting]}) != key(**usual)


def test_key_does_not_change_with_settings_that_the_training_does_not_use() -> None:
    every = OTHERS | NOT_OF_A_TRAINING
    names = ["n_chans1", "n_blocks", "dropout", "shared_blocks"]
    unused = [*NOT_OF_A_TRAINING, *(f"model__{name}" for name in names)]
    unused += ["train__momentum", "train__nesterov"]
    usual: dict[str, Any] = {"model__name": "net", "train__optimizer": "adam"}
    assert key(**usual | {setting: every[setting] for setting in unused}) == key(**usual)
    groups = settings().model_dump().items()
    assert every.keys() == {f"{group}__{name}" for group, values in groups for name in values}


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


# Reading and writing one


def written(path: Path, key: str = "mine") -> bytes:
    one = snapshot.Snapshot(path, key)
    one.put({"epoch": 3, "weight": torch.arange(5.0)})
    one.write()
    return path.read_bytes()


def test_snapshot_is_read_by_the_next_process_unless_it_is_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "mine.pt"
    intact, other = written(path), written(tmp_path / "other.pt", key="another")
    content = snapshot.Snapshot(path, "mine").content
    assert content is not None
    assert content["epoch"] == 3 and content["weight"].tolist() == [0, 1, 2, 3, 4]
    assert caplog.messages == []
    warning = f"{path}: not a snapshot of this run; starting from the beginning"
    for damaged in (b"", b"short", intact[:1000], intact.replace(b"epoch", b"epoce"), other):
        path.write_bytes(damaged)
        caplog.clear()
        assert snapshot.Snapshot(path, "mine").content is None
        assert caplog.messages == [warning]


def test_what_is_put_is_written_after_the_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = snapshot.Snapshot(tmp_path / "mine.pt", "mine")
    monkeypatch.setattr(snapshot, "INTERVAL", 3600)
    one.put({"epoch": 1})
    assert one.content == {"epoch": 1}
    assert not one.path.exists()
    monkeypatch.setattr(snapshot, "INTERVAL", 0)
    one.put({"epoch": 2})
    assert snapshot.Snapshot(one.path, "mine").content == {"epoch": 2}


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
    assert caplog.messages == [f"can't write a snapshot: {one.path}: No space left on device"]
    one.write()
    assert snapshot.Snapshot(one.path, "mine").content == {"epoch": 1}


# Keeping them in a folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def age(path: Path, days: float) -> None:
    then = time.time() - days * 24 * 3600
    os.utime(path, (then, then))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with snapshots that are 20, 10 and 1 days old."""
    for name, days in {"oldest": 20, "older": 10, "new": 1}.items():
        with snapshot.kept(tmp_path, name) as kept:
            kept.put({"name": name})
        age(tmp_path / f"{name}.pt", days)
    return tmp_path


def test_files_over_a_month_old_are_removed_unless_a_process_writes_them(folder: Path) -> None:
    """Also the part of a file that a killed process left."""
    age(folder / "oldest.pt", 31)
    for name, days in {"killed": 31, "writing": 0}.items():
        (folder / f".{name}.pt.part").write_bytes(b"x")
        age(folder / f".{name}.pt.part", days)
    with snapshot.kept(folder, "mine"):
        pass
    assert names(folder) == {"older.pt", "new.pt", ".writing.pt.part"}


def test_oldest_snapshots_are_removed_where_all_together_are_too_big_but_not_the_last(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (folder / "new.pt").stat().st_size + (folder / "older.pt").stat().st_size
    for max_bytes, left in ((size, {"older.pt", "new.pt"}), (0, {"older.pt"})):
        monkeypatch.setattr(snapshot, "MAX_BYTES", max_bytes)
        with snapshot.kept(folder, "older") as kept:
            assert kept.content == {"name": "older"}
        assert names(folder) == left


def test_file_system_without_locks_is_a_warning(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with snapshot.kept(folder, "mine") as kept:
        kept.put({"epoch": 1})
    assert caplog.messages == [
        f"{folder}: No locks available; don't train the same run twice at once"
    ]
    assert names(folder) == {"oldest.pt", "older.pt", "new.pt", "mine.pt"}
