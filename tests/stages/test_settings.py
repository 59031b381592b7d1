"""The stage that checks the settings before any output is removed."""

from pathlib import Path

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
