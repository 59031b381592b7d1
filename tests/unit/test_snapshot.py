"""Snapshots: what they belong to, when they are written, which are read and which removed."""

import contextlib
import errno
import importlib
import os
import pickle
import pkgutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import cifar2
from cifar2 import PLUMBING, files, snapshot
from tests.unit.settings import OTHERS, settings

CPU = torch.device("cpu")
DAY = 24 * 3600


# The key.


def key(*inputs: Path, device: torch.device = CPU, changes: dict[str, Any] | None = None) -> str:
    return snapshot.key(settings(**changes or {}), device, inputs)


NOT_OF_THE_TRAINING = {
    "data__classes": ["cat", "dog"],
    "data__source": "synthetic",
    "data__holdout": 0.2,
    "data__fold": 3,
    "train__device": "cpu",  # `auto` and `cpu` may mean the same device
    "evaluation__mirror": True,
    "evaluation__test": False,
}
UNUSED = {
    "net": {"model__n_chans1", "model__n_blocks", "model__dropout", "model__shared_blocks"},
    "net1": {"model__n_blocks", "model__shared_blocks"},
    "netresdeep": {"model__dropout"},
    "netstem": {
        "model__n_blocks",
        "model__dropout",
        "model__shared_blocks",
        "model__kernel_size",
    },
}


def test_every_setting_is_tested_below() -> None:
    every = {
        f"{group}__{key}" for group, values in settings().model_dump().items() for key in values
    }
    assert OTHERS.keys() | NOT_OF_THE_TRAINING.keys() == every


@pytest.mark.parametrize("name", UNUSED)
@pytest.mark.parametrize("setting", OTHERS)
def test_key_changes_with_a_setting_if_the_network_uses_it(setting: str, name: str) -> None:
    usual = {"model__name": name, "train__momentum": 0.9}
    other = key(changes=usual | {setting: OTHERS[setting]})
    assert (other == key(changes=usual)) == (setting in UNUSED[name])


@pytest.mark.parametrize("setting", ["train__momentum", "train__nesterov"])
def test_key_does_not_change_with_a_setting_that_the_optimizer_does_not_use(setting: str) -> None:
    usual = {"train__optimizer": "adam", "train__momentum": 0.9}
    assert key(changes=usual | {setting: OTHERS[setting]}) == key(changes=usual)


@pytest.mark.parametrize("setting", NOT_OF_THE_TRAINING)
def test_key_does_not_change_with_a_setting_that_no_training_uses(setting: str) -> None:
    usual = {"data__holdout": 0.1}  # without one there are no folds
    assert key(changes=usual | {setting: NOT_OF_THE_TRAINING[setting]}) == key(changes=usual)


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


def test_key_changes_with_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def gpu(chip: str, index: int) -> str:
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: chip)
        return key(device=torch.device("cuda", index))

    keys = [key(), key(device=torch.device("mps")), gpu("A", 0), gpu("A", 1), gpu("B", 0)]
    assert len(set(keys)) == len(keys)


def test_key_changes_with_pytorch_and_its_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {key()}
    monkeypatch.setattr(torch, "__version__", "0.1")
    keys.add(key())
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "ABACUS")
    keys.add(key())
    assert len(keys) == 3


@pytest.mark.parametrize("variable", snapshot.KERNELS)
def test_key_changes_with_a_variable_that_chooses_kernels(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(variable, raising=False)
    usual = key()
    monkeypatch.setenv(variable, "1")
    assert key() != usual


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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give a snapshot of the run with the key "mine"."""
    path = tmp_path / "mine.pt"
    write(path, "mine")
    return path


def write(path: Path, key: str) -> None:
    one = snapshot.Snapshot(path, key)
    one.put({"epoch": 3, "weight": torch.arange(5.0)})
    one.write()


def test_snapshot_is_read_by_the_next_process(path: Path) -> None:
    content = snapshot.Snapshot(path, "mine").content
    assert content is not None
    assert content["epoch"] == 3 and content["weight"].tolist() == [0, 1, 2, 3, 4]


def test_no_snapshot_is_no_content_and_no_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert snapshot.Snapshot(tmp_path / "mine.pt", "mine").content is None
    assert caplog.text == ""


@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage", "a flipped bit"])
def test_damaged_snapshot_is_a_warning_and_no_content(
    damage: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(
        {
            "truncated": whole[:middle],
            "empty": b"",
            "garbage": b"garbage" * 1000,
            "a flipped bit": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        }[damage]
    )
    assert snapshot.Snapshot(path, "mine").content is None
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{path}: not a snapshot of this run; starting from the beginning"
    )


def test_snapshot_of_another_run_is_a_warning_and_no_content(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(path.with_name("other.pt"), "other")
    os.replace(path.with_name("other.pt"), path)
    assert snapshot.Snapshot(path, "mine").content is None
    assert "mine.pt: not a snapshot of this run" in caplog.text


@hypothesis_settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(start=st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02"]), rest=st.binary(max_size=500))
def test_snapshot_of_any_bytes_has_no_content(start: bytes, rest: bytes, tmp_path: Path) -> None:
    (tmp_path / "mine.pt").write_bytes(start + rest)
    assert snapshot.Snapshot(tmp_path / "mine.pt", "mine").content is None


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


def test_what_is_written_is_not_written_again(path: Path) -> None:
    one = snapshot.Snapshot(path, "mine")
    path.unlink()
    one.write()
    assert not path.exists()
    one.put({"epoch": 4})
    one.write()
    path.unlink()
    one.write()
    assert not path.exists()


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


def test_snapshots_over_a_month_old_are_removed(folder: Path) -> None:
    age(folder / "oldest.pt", 31)
    with snapshot.kept(folder, "mine"):
        assert names(folder) == {"older.pt", "new.pt"}


def test_part_that_a_killed_process_left_is_removed_when_it_is_old(folder: Path) -> None:
    for name, days in {"killed": 31, "writing": 0}.items():
        (folder / f".{name}.pt.part").write_bytes(b"x")
        age(folder / f".{name}.pt.part", days)
    with snapshot.kept(folder, "mine"):
        assert names(folder) == {"oldest.pt", "older.pt", "new.pt", ".writing.pt.part"}


def test_part_that_a_running_process_writes_is_not_removed(folder: Path) -> None:
    with snapshot.kept(folder, "mine"):
        (folder / ".mine.pt.part").write_bytes(b"x")
        age(folder / ".mine.pt.part", 31)
        with snapshot.kept(folder, "another"):
            assert ".mine.pt.part" in names(folder)


def test_oldest_snapshots_are_removed_where_all_together_are_too_big(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (folder / "new.pt").stat().st_size + (folder / "older.pt").stat().st_size
    monkeypatch.setattr(snapshot, "MAX_BYTES", size)
    with snapshot.kept(folder, "mine"):
        assert names(folder) == {"older.pt", "new.pt"}
    monkeypatch.setattr(snapshot, "MAX_BYTES", size - 1)
    with snapshot.kept(folder, "mine"):
        assert names(folder) == {"new.pt"}


def test_snapshot_in_use_is_not_removed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "MAX_BYTES", 0)
    with snapshot.kept(folder, "oldest") as kept:
        assert kept.content == {"name": "oldest"}
        assert names(folder) == {"oldest.pt"}
        with snapshot.kept(folder, "another"):
            assert names(folder) == {"oldest.pt"}
    with snapshot.kept(folder, "another"):
        assert names(folder) == set()


def test_snapshot_that_another_process_has_just_removed_is_passed_over(tmp_path: Path) -> None:
    """It is in the list of the folder's files, and then it is not there."""
    (tmp_path / "gone.pt").symlink_to(tmp_path / "nowhere")
    with snapshot.kept(tmp_path, "mine") as kept:
        assert kept.content is None


def test_second_run_with_the_same_key_waits_and_gets_what_the_first_has_done(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    got: list[object] = []

    def second() -> None:
        with snapshot.kept(tmp_path, "mine") as kept:
            got.append(kept.content)

    thread = threading.Thread(target=second, daemon=True)
    with snapshot.kept(tmp_path, "mine") as kept:
        thread.start()
        for _ in range(6000):
            if caplog.messages:
                break
            time.sleep(0.01)
        assert caplog.messages == ["another process trains the same run; waiting for it to end"]
        kept.put({"epoch": 1})
        time.sleep(0.05)  # if the second did not wait, it would have nothing now
        assert got == []
    thread.join(timeout=60)
    assert got == [{"epoch": 1}]


def test_runs_with_different_keys_do_not_wait_for_each_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with snapshot.kept(tmp_path, "mine"), snapshot.kept(tmp_path, "another"):
        assert caplog.text == ""
