"""What `make` installs, and when; with a Python that only notes what pip is asked for."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, run

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="no make")
PYTHON = """#!/bin/sh
case "$*" in
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && touch "$3/bin/activate" "$3/pip" ;;
    "-m pip --version") test -f "$(dirname "$0")/../pip" ;;
    "-m pip install "*) echo "$*" >> pip-calls ;;
esac
"""
# Without the variables of the `make` that may run the tests, and without a network.
ENVIRONMENT = {"MAKEFLAGS": "", "VENV": ".venv", "EXTRAS": "", "PIP_NO_INDEX": "1"}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Give a repository with what the Makefile reads, and with this Python."""
    (tmp_path / "clone" / "src").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / "clone")
    (tmp_path / "clone" / "python").write_text(PYTHON)
    (tmp_path / "clone" / "python").chmod(0o755)
    run("git", "init", "--quiet", cwd=tmp_path / "clone")
    run("git", "commit", "--quiet", "--allow-empty", "--message=start", cwd=tmp_path / "clone")
    return tmp_path / "clone"


def installed(folder: Path, *words: str) -> list[str]:
    """Return what `make` lets pip install, without running what comes after that."""
    (folder / "pip-calls").write_text("")
    run("make", "PYTHON=./python", "RUN=:", *words, cwd=folder, env=ENVIRONMENT)
    return [line.split()[-1] for line in (folder / "pip-calls").read_text().splitlines()]


def test_nothing_is_installed_twice(here: Path) -> None:
    assert installed(here, "repro") == ["."]
    assert installed(here, "repro", "adopt", "zoo") == []
    assert installed(here, "docs") == [".[notebook]"]
    assert installed(here, "test") == [".[dev]"]
    assert installed(here, "lint", "test-unit", "bench") == []
    assert installed(here, "setup", "EXTRAS=ssh,cluster") == [".[cluster,ssh]"]
    assert installed(here, "zoo", "CLUSTER=auto") == installed(here, "repro") == []
    (here / "constraints.txt").write_text("other==1.0")
    assert installed(here, "zoo", "CLUSTER=auto") == [".[cluster]"]


def test_what_is_no_repository_with_a_commit_is_named_before_pip_runs(here: Path) -> None:
    for command in (("rm", "-r", ".git"), ("git", "init", "--quiet")):
        run(*command, cwd=here)
        said = run("make", "PYTHON=./python", "repro", cwd=here, status=2, env=ENVIRONMENT)
        assert "DVC needs a Git repository with a commit: git clone, or git init" in said
    assert not (here / "pip-calls").exists()


def test_clones_that_agree_share_an_environment_until_one_is_moved(here: Path) -> None:
    shared = f"VENV={here.parent / 'venv'}"
    assert installed(here, "setup", shared) == ["."]
    other = shutil.copytree(here, here.parent / "other")
    assert installed(other, "setup", shared) == []
    here.rename(here.parent / "moved")
    assert [installed(other, "setup", shared) for _ in range(2)] == [["."], []]


def test_an_environment_that_was_moved_is_named(here: Path) -> None:
    installed(here, "setup")
    moved = here.rename(here.parent / "moved")
    assert "rm -r .venv, and type" in run("make", "repro", cwd=moved, status=2, env=ENVIRONMENT)


def test_an_environment_without_pip_gets_it(here: Path) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", ".venv", cwd=here)
    run("make", "setup", cwd=here, status=2, env=ENVIRONMENT)  # which has nothing to install from
    run(".venv/bin/python", "-m", "pip", "--version", cwd=here)
