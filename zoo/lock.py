"""The zoo as DVC sees it: its runs, which of them are up to date, and what its lock file says.

All that touches DVC is here. Where DVC fails, or settings are wrong, this raises a UserError.
"""

import contextlib
import functools
import logging
import os
import shutil
import signal
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from dvc.dvcfile import Lockfile
from dvc.exceptions import DvcException
from dvc.repo import Repo as Repo
from dvc.stage import PipelineStage
from filelock import FileLock, Timeout
from scmrepo.exceptions import SCMError

from cifar2 import params
from cifar2.errors import UserError, first_line
from zoo import ROOT, variants
from zoo.run import PATH, Task, md5

ZOO = ROOT / "zoo"
SCRATCH = ZOO / ".dvc" / "tmp" / "zoo"

logging.getLogger("dvc").setLevel(logging.WARNING)  # not each "Updating lock file"

Stage: TypeAlias = PipelineStage
Runs = dict[str, list[Stage]]  # the stages of each run, in their order


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Keep other commands from changing the zoo of this clone."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    lock = FileLock(SCRATCH / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError("another command trains or adopts the zoo of this clone") from error
    except OSError as error:  # a file system without locks
        print(f"zoo: {SCRATCH}: {error.strerror}; start no second command", file=sys.stderr)
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def opened(folder: Path = ZOO, wait: bool = True) -> Iterator[Repo]:
    """Yield a DVC project (a copy needs no Git); `wait` while another process has DVC's lock."""
    config = None if folder in (ROOT, ZOO) else {"core": {"no_scm": True}}
    try:
        with Repo(str(folder), config=config, _wait_for_lock=wait) as repo:
            yield repo
    except (DvcException, SCMError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, DvcException) else None
        if str(cause).endswith(f"exited with {128 + signal.SIGINT}"):
            raise KeyboardInterrupt from error  # DVC itself ignores Ctrl-C while a stage runs
        reasons = [first_line(each) + getattr(each, "hint", "") for each in (error, cause) if each]
        raise UserError(f"DVC in {folder}: {': '.join(reasons)}") from error


def reproduce(folder: Path, stages: list[str], wait: bool = True, alone: bool = True) -> None:
    """Let DVC run stages (`alone`, or with those that they depend on) that are not up to date."""
    os.environ["PATH"] = PATH
    with contextlib.chdir(folder), opened(folder, wait) as repo:
        on_error = "keep-going" if len(stages) > 1 else "fail"  # one that fails stops no other
        repo.reproduce(stages, single_item=alone, on_error=on_error)


def compose() -> None:
    """Write the settings of each run."""
    path = ZOO / "params.yaml"
    list(variants.runs(variants.load(path), params.load(ROOT / "params.yaml"), str(path)))
    params.read_yaml(ROOT / "dvc.yaml")
    reproduce(ZOO, ["compose"], wait=False)


def make_data() -> None:
    """Make the data that runs need, where it is not up to date."""
    reproduce(ROOT, ["filter"], alone=False)


def compare() -> None:
    """Compare the runs that are finished."""
    if (ZOO / "runs").exists():  # a first run was finished
        reproduce(ZOO, ["compare"])


def runs(repo: Repo) -> Runs:
    """Return the stages of every run: its training, and what takes the network."""
    found: Runs = {}
    for stage in repo.index.stages:
        if "@" in stage.name:
            found.setdefault(stage.name.partition("@")[2], []).append(stage)
    return found


def is_outdated(stage: Stage) -> bool:
    """Tell whether the results of a stage are not of the present code, settings and data.

    Data and checkpoints that are missing, as in a fresh clone, make no stage outdated, because the
    results are in Git. A missing result makes its stage outdated.
    """
    # As `stage.changed(allow_missing=True)`, which also writes a lock file three times.
    missing = ("deleted", "not in cache")
    in_cache = [*stage.deps, *(out for out in stage.outs if out.use_cache)]
    return (
        stage.changed_stage()
        or any(state not in missing for item in in_cache for state in item.status().values())
        or any(out.status() for out in stage.outs if not out.use_cache)
    )


def outdated(repo: Repo) -> Runs:
    """Return the runs with outdated stages, and these stages."""
    found = {name: list(filter(is_outdated, stages)) for name, stages in runs(repo).items()}
    return {name: stages for name, stages in found.items() if stages}


def tasks(every: Runs, left: Runs) -> list[Task]:
    """Return what there is to do for the runs in `left`, whose outdated stages these are."""
    found = []
    for name, outdated in left.items():
        training, *others = every[name]
        whole = training in outdated
        if not whole:
            with training.repo.lock:
                if not any(out.changed_cache() for out in training.outs if out.use_cache):
                    training.checkout()  # fails if its weights are not in the cache
                whole = training.changed()
        # All others, because some read what others write.
        found.append(task_of(name, every[name] if whole else others))
    return found


def task_of(name: str, stages: list[Stage]) -> Task:
    """Return what it takes to run stages, with paths from the folder of their dvc.yaml."""
    outputs = [out.def_path for stage in stages for out in stage.outs]
    inputs = {}
    for dep in (dep for stage in stages for dep in stage.deps):
        if dep.def_path not in outputs:
            path = Path(dep.fs_path)
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if "__pycache__" not in file.parts:
                    inputs[Path(os.path.relpath(file, dep.stage.wdir)).as_posix()] = hash_of(file)
    return Task(name, [(stage.name, stage.cmd) for stage in stages], inputs, outputs)


def hash_of(file: Path) -> str:
    """Return the MD5 of a file, or "" if there is none."""
    try:
        stat = file.stat()
        return _hash_of(file, stat.st_mtime_ns, stat.st_size)
    except (FileNotFoundError, IsADirectoryError):
        return ""


@functools.cache
def _hash_of(file: Path, *_: int) -> str:
    return md5(file.read_bytes())


def is_data(path: str) -> bool:
    return path.startswith(("data/", "../data/"))


def change_beside_code(stages: Iterable[Stage]) -> str:
    """Say what else than settings and code changed since results were recorded, or return ""."""
    for stage in stages:
        if not all(out.hash_info for out in stage.outs):
            return "it was never trained"
        for dep in stage.deps:
            if is_data(dep.def_path) and dep.status():
                return f"its data changed: {dep.def_path}"
        for out in stage.outs:
            if not out.exists and not out.use_cache:
                return f"its result is missing: {out.def_path}"
            if out.exists and out.changed_checksum():
                return f"its result is not the recorded one: {out.def_path}"
    return ""


def has_recorded_code(stage: Stage) -> bool:
    """Tell whether all but data and results is as the lock file beside the stage has it."""
    return not stage.changed_stage() and not any(
        dep.status()
        for dep in stage.deps
        if not is_data(dep.def_path) and not dep.def_path.startswith("models/")
    )


def record(stages: list[Stage]) -> None:
    """Tell DVC that what lies there is the result of these stages of one project.

    Outputs that are not there stay as they were recorded. Where none is missing, `dvc repro` can
    restore them from DVC's cache later.
    """
    if not stages:
        return
    repo, file = stages[0].repo, stages[0].dvcfile
    # The run cache looks for dvc.yaml in this folder.
    with contextlib.chdir(Path(file.path).parent), repo.lock, repo.scm_context():
        for stage in stages:
            whole = all(item.exists for item in [*stage.deps, *stage.outs])
            stage.save(allow_missing=True, run_cache=whole)
            stage.commit(allow_missing=True)
        # `repo.commit` would write the lock file once for each stage, and in place. If it were
        # stopped, what it has written would look like a whole lock file, and the other runs would
        # be lost.
        lock_file = Path(file.path).with_suffix(".lock")
        copy = Lockfile(repo, str(lock_file.with_name(f".{lock_file.name}.part")))
        if lock_file.exists():
            shutil.copyfile(lock_file, copy.path)
        copy.dump_stages(stages)
        os.replace(copy.path, lock_file)
        repo.scm_context.files_to_track.discard(copy.relpath)
        repo.scm_context.track_file(lock_file.name)
