"""`dvc exp run` in the places where people have their clones."""

import socket
from pathlib import Path

import pytest

from tests.commands.conftest import stages_run
from tests.conftest import copy_clone, run


@pytest.mark.slow
def test_folder_with_an_unusual_name_behind_a_link_without_a_home(
    tidy: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(copy_clone(tidy, tmp_path / "a quo'te, $HOME, ü, 100%, (a)&b"))
    command = ("env", "-u", "HOME", "dvc", "exp", "run", "-S", "evaluation.mirror=true")
    said = run(*command, cwd=link)
    assert stages_run(said) == ["settings", "evaluate", "plot"]
    assert "Ran experiment(s): " in said


def test_clone_with_the_line_ends_of_windows_has_the_same_bytes(
    clone: Path, tmp_path: Path
) -> None:
    """DVC's hashes would differ, and bash would stumble."""
    other = tmp_path / "clone"
    run("git", "clone", "--quiet", "--config=core.autocrlf=true", clone, other, cwd=clone)
    for name in run("git", "ls-files", cwd=other).splitlines():
        assert (other / name).read_bytes() == (clone / name).read_bytes(), name
    assert run("git", "status", "--porcelain", cwd=other) == ""


@pytest.mark.slow
def test_training_talks_to_no_server(tidy: Path) -> None:
    """An old token is enough for DVC and DVCLive to wait for a server that is gone."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        env = {"DVC_STUDIO_URL": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        env |= {"DVC_STUDIO_TOKEN": "old", "DVC_STUDIO_REPO_URL": "git@example.com:cifar2"}
        run("dvc", "exp", "run", "-S", "train.epochs=2", cwd=tidy, env=env)
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.accept()
