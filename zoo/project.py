"""The zoo as DVC sees it: its runs, and which of them are not up to date."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dvc.repo import Repo

if TYPE_CHECKING:
    from dvc.stage import PipelineStage

ROOT = Path(__file__).resolve().parent.parent
ZOO = ROOT / "zoo"
SCRATCH = ZOO / ".dvc" / "tmp"

sys.path.insert(0, str(ROOT / "src"))  # the library beside this, whichever is installed

Runs = dict[str, list["PipelineStage"]]  # the stages of each run, in their order


def dvc(*words: str, cwd: Path = ZOO) -> None:
    """Run DVC; exit if it fails."""
    if subprocess.call(["dvc", *words], cwd=cwd):
        sys.exit(1)


def make_data(stages: Iterable[PipelineStage]) -> None:
    """Make the data that some stages need, where it is not up to date."""
    dvc("repro", "filter", cwd=ROOT)
    if any(stage.name.startswith("train_ten_classes@") for stage in stages):
        dvc("repro", "--single-item", "filter_ten_classes")


@contextlib.contextmanager
def opened(folder: Path = ZOO) -> Iterator[Repo]:
    """Yield a DVC project through DVC's own API; a copy of one needs no Git."""
    config = None if folder in (ROOT, ZOO) else {"core": {"no_scm": True}}
    with Repo(str(folder), config=config) as repo:
        yield repo


def runs(repo: Repo) -> Runs:
    """Return the stages of every run: training, evaluation, and what depends on these alone."""
    found: Runs = {}
    for stage in repo.index.stages:
        if "@" in stage.name:
            found.setdefault(stage.name.partition("@")[2], []).append(stage)
    return found


def changed(stages: list[PipelineStage]) -> list[PipelineStage]:
    """Return the stages whose results are not of the present code, settings and data.

    Data and checkpoints that are missing, as in a fresh clone, make no stage outdated, because the
    results are in Git.
    """
    if not stages:
        return []
    with stages[0].repo.lock:
        return [stage for stage in stages if stage.changed(allow_missing=True)]


def outdated(repo: Repo) -> Runs:
    """Return the runs with changed stages, and these stages."""
    found = {name: changed(stages) for name, stages in runs(repo).items()}
    return {name: stages for name, stages in found.items() if stages}


def cache_runs(repo: Repo) -> None:
    """Put every stage that is up to date, with its outputs, into DVC's run cache.

    From there `dvc repro` restores outputs that were deleted. DVC does so by itself only for stages
    without outputs in Git.
    """
    with contextlib.chdir(ZOO), repo.lock:  # the run cache looks for dvc.yaml in this folder
        for stages in runs(repo).values():
            for stage in stages:
                if not stage.changed():
                    repo.stage_cache.save(stage)
