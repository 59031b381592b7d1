"""The stage that checks the settings before any output is removed."""

from pathlib import Path

import pytest

from tests.conftest import run, words, write


def test_valid_settings_are_noted(tmp_path: Path) -> None:
    write(tmp_path / "params.yaml")
    run(*words("settings"), cwd=tmp_path)
    assert (tmp_path / "data/checked").read_text() == "the settings are valid\n"


def test_device_that_is_not_on_this_machine_is_an_error(tmp_path: Path) -> None:
    """With CUDA there are some devices, but hardly a hundred."""
    write(tmp_path / "params.yaml", train__device="cuda:99")
    said = run(*words("settings"), cwd=tmp_path, status=2)
    assert said.startswith("settings: train.device: 'cuda:99' is not on this machine; devices here")
    assert said.count("\n") == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("epochs", "status"), [(1, 0), (0, 2)], ids=["valid", "refused"])
def test_files_that_dvc_rewrote_get_a_time_that_git_has_not_seen(
    epochs: int, status: int, tmp_path: Path
) -> None:
    """Git compares the seconds, and takes a file of the same time and size for unchanged."""
    settings = write(tmp_path / "params.yaml", train__epochs=epochs)
    lock = tmp_path / "dvc.lock"
    lock.write_text("stages: {}\n")
    before = settings.read_bytes(), lock.read_bytes()
    written = settings.stat().st_mtime, lock.stat().st_mtime
    run(*words("settings"), cwd=tmp_path, status=status)
    now = settings.stat().st_mtime, lock.stat().st_mtime
    assert [int(time) for time in now] == [int(time) + 1 for time in written]
    assert (settings.read_bytes(), lock.read_bytes()) == before


def test_network_that_git_does_not_know_is_named_in_a_copy(tmp_path: Path) -> None:
    """DVC runs some experiments in a copy of what Git knows."""
    write(tmp_path / "params.yaml", model__name="mine")
    main = tmp_path / "main"
    (main / "src/cifar2/models").mkdir(parents=True)
    (main / "src/cifar2/models/mine.py").touch()
    said = run(*words("settings"), cwd=tmp_path, status=2, env={"DVC_ROOT": str(main)})
    assert "model.name: 'mine': unknown model;" in said
    assert said.endswith("; mine: `git add` the file first, since this is a copy\n")
