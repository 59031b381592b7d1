"""The stage that checks the settings before any output is removed."""

from pathlib import Path

import pytest

from cifar2.errors import UserError
from tests.conftest import write
from tests.stages.conftest import main


def test_device_that_is_not_on_this_machine_is_an_error(tmp_path: Path) -> None:
    """With CUDA there are some devices, but hardly a hundred."""
    write(tmp_path / "params.yaml", train__device="cuda:99")
    with pytest.raises(UserError, match=r"^train\.device: 'cuda:99' is not on this machine; dev"):
        main("settings", tmp_path)
    assert not (tmp_path / "data").exists()


def test_network_that_git_does_not_know_is_named_in_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC runs some experiments in a copy of what Git knows."""
    write(tmp_path / "params.yaml", model__name="mine")
    repository = tmp_path / "repository"
    (repository / "src/cifar2/models").mkdir(parents=True)
    (repository / "src/cifar2/models/mine.py").touch()
    monkeypatch.setenv("DVC_ROOT", str(repository))
    with pytest.raises(UserError) as caught:
        main("settings", tmp_path)
    assert "model.name: 'mine': unknown model;" in str(caught.value)
    assert str(caught.value).endswith("; mine: `git add` the file first, since this is a copy")
