"""`dvc exp run` in the places where people have their clones."""

import os
import shutil
import socket
import sys
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


@pytest.mark.slow
def test_shallow_clone_of_several_users_with_a_home_without_write_permission(
    clone: Path, tmp_path: Path
) -> None:
    if sys.platform == "win32":
        pytest.skip("permissions are others there")
    shallow, home = tmp_path / "shallow", tmp_path / "home"
    run("git", "clone", "--quiet", "--depth=1", f"file://{clone}", shallow, cwd=tmp_path)
    shutil.copytree(clone / ".dvc/cache", shallow / ".dvc/cache")
    run("dvc", "checkout", cwd=shallow)
    home.mkdir(mode=0o555)
    # Root may write anywhere, and change what others own, unless it gives that up.
    powers = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner"]
    as_user = powers if os.getuid() == 0 else []
    for path in [*shallow.glob("*"), *shallow.glob("[!.]*/*")]:
        if as_user and path.is_file():  # let it be of another user of the same group
            path.chmod(path.stat().st_mode | 0o020)
            os.chown(path, 65534, -1)
    # It measures the network again, which gives the same values, so no later stage runs.
    short = ("dvc", "exp", "run", "-S", "evaluation.test=false")
    said = run(*as_user, *short, cwd=shallow, env={"HOME": str(home)})
    assert stages_run(said) == ["settings", "evaluate"]
    assert "Ran experiment(s): " in said
    # A stage whose outputs stay while it runs replaces those of another user, too.
    holdout = ("dvc", "exp", "run", "-S", "data.holdout=0.2")
    assert "filter" in stages_run(run(*as_user, *holdout, cwd=shallow, env={"HOME": str(home)}))
    assert os.listdir(home) == []


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
