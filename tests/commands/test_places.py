"""`dvc exp run` in the places where people have their clones."""

import os
import sys
from pathlib import Path

import pytest

from tests.commands.conftest import stages_run
from tests.conftest import copy_clone, run


@pytest.fixture
def moved(tidy: Path, tmp_path: Path) -> Path:
    """Give a copy of the clone, to be moved on."""
    return copy_clone(tidy, tmp_path / "copy")


# It measures the network again, which gives the same values, so no later stage runs.
SHORT = ("dvc", "exp", "run", "-S", "evaluation.test=false")


@pytest.mark.slow
def test_folder_with_an_unusual_name_behind_a_link_without_a_home(moved: Path) -> None:
    odd = moved.rename(moved.with_name("a quo'te, $HOME, ü, 100%, (a)&b"))
    link = moved.with_name("link")
    link.symlink_to(odd)
    command = ("env", "-u", "HOME", "dvc", "exp", "run", "-S", "evaluation.mirror=true")
    said = run(*command, cwd=link)
    assert stages_run(said) == ["settings", "evaluate", "plot"]
    assert "Ran experiment(s): " in said


@pytest.mark.slow
def test_shallow_clone_with_a_home_without_write_permission(moved: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("permissions are others there")
    shallow, home = moved.with_name("shallow"), moved.with_name("home")
    run("git", "clone", "--quiet", "--depth=1", f"file://{moved}", shallow, cwd=moved)
    run("dvc", "cache", "dir", "--local", moved / ".dvc/cache", cwd=shallow)
    home.mkdir(mode=0o555)
    # Root may write anywhere, unless it gives that up.
    powers = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    as_user = powers if os.getuid() == 0 else []
    said = run(*as_user, *SHORT, cwd=shallow, env={"HOME": str(home)})
    assert stages_run(said) == ["settings", "evaluate"]
    assert "Ran experiment(s): " in said
    assert os.listdir(home) == []


def test_subfolder_is_refused_with_the_reason(clone: Path) -> None:
    said = run("dvc", "exp", "run", cwd=clone / "src", status=255)
    assert f"ERROR: '{clone}/src/dvc.yaml' does not exist" in said
    assert "Traceback" not in said


def test_clone_with_the_line_ends_of_windows_has_the_same_bytes(
    clone: Path, tmp_path: Path
) -> None:
    """DVC's hashes would differ, and bash would stumble."""
    other = tmp_path / "clone"
    run("git", "clone", "--quiet", "--config=core.autocrlf=true", clone, other, cwd=clone)
    for name in run("git", "ls-files", cwd=other).splitlines():
        assert (other / name).read_bytes() == (clone / name).read_bytes(), name
    assert run("git", "status", "--porcelain", cwd=other) == ""
