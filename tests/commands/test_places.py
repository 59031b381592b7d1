"""`dvc exp run` in the places where people have their clones."""

import os
import sys
from pathlib import Path

import pytest

from tests.commands.conftest import metrics, stages_run
from tests.conftest import copy_clone, run

pytestmark = pytest.mark.slow


@pytest.fixture
def moved(tidy: Path, tmp_path: Path) -> Path:
    """Give a copy of the clone, to be moved on."""
    return copy_clone(tidy, tmp_path / "copy")


def use_cache(project: Path, other: Path) -> Path:
    """Let a project have another one's cache, so that nothing is trained; return it."""
    run("dvc", "cache", "dir", "--local", other / ".dvc/cache", cwd=project)
    return project


# It measures the network again, which gives the same figures, so no later stage runs.
SHORT = ("dvc", "exp", "run", "-S", "evaluation.test=false")


def assert_experiment_runs(project: Path) -> None:
    said = run(*SHORT, cwd=project)
    assert stages_run(said) == ["settings", "evaluate"]
    assert "Ran experiment(s): " in said
    assert metrics(project)["model"] == "net"


def test_folder_with_an_unusual_name_runs_every_stage_that_reads_the_network(moved: Path) -> None:
    odd = moved.rename(moved.with_name("a quo'te, $HOME, ü, 100%, (a)&b"))
    said = run("dvc", "exp", "run", "-S", "evaluation.mirror=true", cwd=odd)
    assert stages_run(said) == [
        "settings", "evaluate", "plot", "calibration", "neither", "surest", "card",
    ]  # fmt: skip
    assert "Ran experiment(s): " in said


def test_symlinked_checkout(moved: Path) -> None:
    link = moved.with_name("link")
    link.symlink_to(moved)
    assert_experiment_runs(link)


def test_worktree_of_git(moved: Path) -> None:
    tree = moved.with_name("tree")
    run("git", "worktree", "add", "--quiet", tree, cwd=moved)
    assert_experiment_runs(use_cache(tree, moved))


def test_submodule_of_git(moved: Path) -> None:
    outer = moved.with_name("outer")
    run("git", "init", "--quiet", outer, cwd=moved)
    allow = ("-c", "protocol.file.allow=always")
    run("git", *allow, "submodule", "--quiet", "add", moved, "inner", cwd=outer)
    assert_experiment_runs(use_cache(outer / "inner", moved))


def test_shallow_clone(moved: Path) -> None:
    shallow = moved.with_name("shallow")
    run("git", "clone", "--quiet", "--depth=1", f"file://{moved}", shallow, cwd=moved)
    assert_experiment_runs(use_cache(shallow, moved))


def test_home_that_is_missing(moved: Path) -> None:
    said = run("env", "-u", "HOME", *SHORT, cwd=moved)
    assert "Ran experiment(s): " in said


def test_home_without_write_permission(moved: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("permissions are others there")
    home = moved.with_name("home")
    home.mkdir(mode=0o555)
    # Root may write anywhere, unless it gives that up.
    powers = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    as_user = powers if os.getuid() == 0 else []
    said = run(*as_user, *SHORT, cwd=moved, env={"HOME": str(home)})
    assert "Ran experiment(s): " in said
    assert os.listdir(home) == []


def test_clone_of_another_user_is_refused_with_the_reason(moved: Path) -> None:
    """Git trusts no other user's repository, and says which command would."""
    if sys.platform == "win32" or os.getuid() != 0:
        pytest.skip("giving a folder to another user takes root")
    os.chown(moved, 1000, 1000)
    os.chown(moved / ".git", 1000, 1000)
    said = run(*SHORT, cwd=moved, status=255)
    assert f"repository path '{moved}' is not owned by current user" in said
    assert "Traceback" not in said


def test_subfolder_is_refused_with_the_reason(moved: Path) -> None:
    said = run("dvc", "exp", "run", cwd=moved / "src", status=255)
    assert f"ERROR: '{moved}/src/dvc.yaml' does not exist" in said
    assert "Traceback" not in said


def test_clone_with_the_line_ends_of_windows_has_the_same_bytes(moved: Path) -> None:
    """DVC's hashes would differ, and bash would stumble."""
    clone = moved.with_name("clone")
    run("git", "clone", "--quiet", "--config=core.autocrlf=true", moved, clone, cwd=moved)
    for name in run("git", "ls-files", cwd=clone).splitlines():
        assert (clone / name).read_bytes() == (moved / name).read_bytes(), name
    assert run("git", "status", "--porcelain", cwd=clone) == ""
