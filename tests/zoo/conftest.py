"""A small zoo in a clone, and how tests change it."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from tests.conftest import copy_clone, run

NONE: dict[str, Any] = {"seeds": [], "variants": {}}
RUNS = ["other-1", "res-1", "res-2", "try-folds"]


def variant(name: str, **groups: Any) -> dict[str, Any]:
    return {"model": {"name": name}} | groups


RES = {"seeds": [1, 2], "variants": {"res": variant("netres")}}
OTHER = {"seeds": [1], "variants": {"other": variant("netwidth")}}
TRIALS = {"folds": 2, "seeds": 1, "variants": {"try": variant("netdepth")}}


def write_zoo(clone: Path, **groups: Any) -> None:
    """Write the zoo's settings: no variants but those in `groups`."""
    path = clone / "zoo" / "params.yaml"
    none = dict.fromkeys(("quick", "middle", "slow"), NONE) | {
        "folds": TRIALS | {"variants": []},
        "trials": TRIALS | {"variants": {}},
        "asked_about_others": [],
    }
    settings = yaml.safe_load(path.read_text()) | none | groups
    path.write_text(yaml.safe_dump(settings, sort_keys=False))


def add_comment(path: Path) -> None:
    path.write_text(path.read_text() + "# A comment.\n")


def commit(clone: Path) -> None:
    run("git", "add", "--all", cwd=clone)
    run("git", "commit", "--quiet", "--allow-empty", "--message=zoo", cwd=clone)


def train(clone: Path, *options: str, status: int = 0, env: dict[str, str] | None = None) -> str:
    """Run `python -m zoo train` and return what it printed."""
    return run("python", "-m", "zoo", "train", *options, cwd=clone, status=status, env=env)


def runs_done(clone: Path) -> list[str]:
    """Return the runs that have a log of the last training, and remove the logs."""
    logs = list((clone / "zoo" / ".dvc" / "tmp" / "zoo").glob("*.log"))
    for log in logs:
        log.unlink()
    return sorted(log.stem for log in logs)


def locked(clone: Path) -> dict[str, Any]:
    """Return what both lock files have of trainings and evaluations."""
    files = [clone / name for name in ("dvc.lock", "zoo/dvc.lock")]
    stages = [each for file in files for each in yaml.safe_load(file.read_text())["stages"].items()]
    return {name: stage for name, stage in stages if name.startswith(("train", "evaluate"))}


@pytest.fixture(scope="session")
def trained(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a clone with a zoo of four short runs on the stand-in, trained and committed.

    The first of the processes that test makes it, for all of them.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "trained"
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            part = copy_clone(clone, folder.with_suffix(".part"))
            shutil.rmtree(part / "zoo" / "runs")
            (part / "zoo" / "dvc.lock").unlink()
            groups = {"middle": RES, "slow": OTHER, "trials": TRIALS}
            write_zoo(part, **groups, asked_about_others=["res-1"])
            train(part, "--jobs", "2")
            assert runs_done(part) == RUNS
            commit(part)
            part.rename(folder)
    return folder


@pytest.fixture
def zoo(trained: Path, tmp_path: Path) -> Path:
    """Give a copy of it, with its cache."""
    return copy_clone(trained, tmp_path / "copy")
