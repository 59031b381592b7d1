"""A small zoo in a clone, before and after its training, and how tests change it."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import copy_clone, copy_project, run

NONE: dict[str, Any] = {"seeds": [], "variants": {}}
RUNS = ["baseline-1", "other-1", "res-1", "res-2", "try-1"]


def write_zoo(clone: Path, **groups: Any) -> None:
    """Write the zoo's settings: no variants but those in `groups`."""
    path = clone / "zoo" / "params.yaml"
    none = {
        "quick": NONE,
        "middle": NONE,
        "slow": NONE,
        "ten_classes": NONE | {"classes": ["bird", "airplane"]},
        "trials": NONE | {"holdout": 0.2},
        "asked_about_others": [],
    }
    settings = yaml.safe_load(path.read_text()) | none | groups
    path.write_text(yaml.safe_dump(settings, sort_keys=False))


def variant(name: str, **groups: Any) -> dict[str, Any]:
    return {"model": {"name": name}} | groups


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


def locked_runs(clone: Path) -> Any:
    """Return what the lock file has of the runs; `compose` has a new output after any change."""
    stages = yaml.safe_load((clone / "zoo" / "dvc.lock").read_text())["stages"]
    return {name: stage for name, stage in stages.items() if re.match("(train|evaluate)_", name)}


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a clone with a zoo of five short runs on the stand-in, of which none was done."""
    clone = copy_project(tmp_path_factory.mktemp("untrained"))
    shutil.rmtree(clone / "zoo" / "runs")
    (clone / "zoo" / "dvc.lock").unlink()
    write_zoo(
        clone,
        quick={"seeds": [1], "variants": {"baseline": variant("net")}},
        middle={"seeds": [1, 2], "variants": {"res": variant("netres")}},
        ten_classes={  # with as many classes as the stand-in has
            "seeds": [1],
            "classes": ["bird", "airplane"],
            "variants": {"other": variant("net")},
        },
        trials={"holdout": 0.2, "seeds": [1], "variants": {"try": variant("netdepth")}},
        asked_about_others=["res-1"],
    )
    run("dvc", "repro", cwd=clone)
    commit(clone)
    return clone


@pytest.fixture(scope="session")
def trained(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a clone in which threads of this machine trained that zoo, and it was committed."""
    clone = copy_clone(untrained, tmp_path_factory.mktemp("trained") / "copy")
    train(clone, "--jobs", "2")
    assert runs_done(clone) == RUNS
    commit(clone)
    return clone


@pytest.fixture
def zoo(trained: Path, tmp_path: Path) -> Path:
    """Give a copy of it, with its cache."""
    return copy_clone(trained, tmp_path / "copy")
