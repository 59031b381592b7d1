"""The zoo as DVC sees it: its runs, and which of them are not up to date."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dvc.dvcfile import Lockfile
from dvc.repo import Repo

from cifar2 import variants
from zoo.work import Task

if TYPE_CHECKING:
    from dvc.stage import PipelineStage

ROOT = Path(__file__).resolve().parent.parent
ZOO = ROOT / "zoo"
SCRATCH = ZOO / ".dvc" / "tmp"

logging.getLogger("dvc").setLevel(logging.WARNING)  # not each "Updating lock file"

Runs = dict[str, list["PipelineStage"]]  # the stages of each run, in their order


def dvc(*words: str, cwd: Path = ZOO) -> None:
    """Run DVC; exit if it fails."""
    if subprocess.call(["dvc", *words], cwd=cwd):
        sys.exit(1)


def compose() -> None:
    """Write the settings of each run.

    Raises:
        UserError: if zoo/params.yaml is wrong. DVC, when it is quiet, would fail and say nothing.
    """
    variants.load(ZOO / "params.yaml")
    dvc("repro", "--quiet", "--single-item", "compose")


def make_data(stages: Iterable[PipelineStage]) -> None:
    """Make the data that some stages need, where it is not up to date."""
    dvc("repro", "filter", cwd=ROOT)
    needed = {stage.name.partition("@")[0] for stage in stages}
    for group in ("ten_classes", "trials"):
        if needed & {f"train_{group}", f"evaluate_{group}"}:
            dvc("repro", "--single-item", f"filter_{group}")


@contextlib.contextmanager
def opened(folder: Path = ZOO) -> Iterator[Repo]:
    """Yield a DVC project through DVC's own API; a copy of one needs no Git."""
    config = None if folder in (ROOT, ZOO) else {"core": {"no_scm": True}}
    with Repo(str(folder), config=config, _wait_for_lock=True) as repo:
        yield repo


def runs(repo: Repo) -> Runs:
    """Return the stages of every run: training, evaluation, and what depends on these alone."""
    found: Runs = {}
    for stage in repo.index.stages:
        if "@" in stage.name and not stage.name.startswith("filter_"):
            found.setdefault(stage.name.partition("@")[2], []).append(stage)
    return found


def changed(stages: Iterable[PipelineStage]) -> list[PipelineStage]:
    """Return the stages whose results are not of the present code, settings and data.

    Data and checkpoints that are missing, as in a fresh clone, make no stage outdated, because the
    results are in Git. A missing result makes its stage outdated.
    """
    return [stage for stage in stages if _is_changed(stage)]


def _is_changed(stage: PipelineStage) -> bool:
    # As `stage.changed(allow_missing=True)`, which also writes a lock file three times.
    missing = ("deleted", "not in cache")
    in_cache = [*stage.deps, *(out for out in stage.outs if out.use_cache)]
    in_git = [out for out in stage.outs if not out.use_cache]
    return (
        stage.changed_stage()
        or any(state not in missing for item in in_cache for state in item.status().values())
        or any(out.status() for out in in_git)
    )


def outdated(repo: Repo) -> Runs:
    """Return the runs with changed stages, and these stages."""
    found = {name: changed(stages) for name, stages in runs(repo).items()}
    return {name: stages for name, stages in found.items() if stages}


def tasks(every: Runs, left: Runs) -> list[Task]:
    """Return what there is to do for the runs in `left`, whose outdated stages these are."""
    return [_task(name, _to_do(every[name], stages)) for name, stages in left.items()]


def _to_do(every: list[PipelineStage], outdated: list[PipelineStage]) -> list[PipelineStage]:
    """Return the stages of a run to type again."""
    training = every[0]
    if all(stage.name.startswith("confusion") for stage in outdated):
        return outdated  # it needs no checkpoint, which a fresh clone does not have
    if training not in outdated:
        with training.repo.lock:
            training.checkout(allow_missing=True)
            if not training.changed():
                return every[1:]  # all, because some read what others write
    return every


def _task(name: str, stages: list[PipelineStage]) -> Task:
    outputs = [out.def_path for stage in stages for out in stage.outs]
    inputs = {}
    for dep in (dep for stage in stages for dep in stage.deps):
        if dep.def_path not in outputs:
            path = Path(dep.fs_path)
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                inputs[Path(os.path.relpath(file, ZOO)).as_posix()] = hash_of(file)
    return Task(name, [(stage.name, stage.cmd) for stage in stages], inputs, outputs)


def hash_of(file: Path) -> str:
    """Return the MD5 of a file, or "" if there is none."""
    try:
        stat = file.stat()
        return _hash_of(file, stat.st_mtime_ns, stat.st_size)
    except FileNotFoundError:
        return ""


@functools.cache
def _hash_of(file: Path, *_: int) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "md5").hexdigest()


def record(stages: list[PipelineStage], allow_missing: bool = False) -> None:
    """Tell DVC that what lies there is the result of these stages, with the present inputs.

    The outputs go into DVC's cache, and the stages into its run cache. From there `dvc repro`
    restores outputs that were deleted.

    Args:
        stages: of one project.
        allow_missing: leave outputs that are not there as they were recorded.
    """
    if not stages:
        return
    repo, file = stages[0].repo, stages[0].dvcfile
    # The run cache looks for dvc.yaml in this folder.
    with contextlib.chdir(Path(file.path).parent), repo.lock, repo.scm_context():
        for stage in stages:
            stage.save(allow_missing=allow_missing, run_cache=not allow_missing)
            stage.commit(allow_missing=allow_missing)
        # DVC writes a lock file in place. If it were stopped, what it has written would look like a
        # whole lock file, and the other runs would be lost.
        lock_file = Path(file.path).with_suffix(".lock")
        copy = Lockfile(repo, str(lock_file.with_name(f".{lock_file.name}.part")))
        if lock_file.exists():
            shutil.copyfile(lock_file, copy.path)
        copy.dump_stages(stages)
        os.replace(copy.path, lock_file)
        repo.scm_context.files_to_track.discard(copy.relpath)
        repo.scm_context.track_file(lock_file.name)
