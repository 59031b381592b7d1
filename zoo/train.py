"""Do the runs of the zoo that are not up to date, several at once, and record their results.

Threads of this machine do them (threads.py), or the machines of a cluster (cluster.py). Each run
has a copy of the code, so an edit meanwhile changes no result. Only this process writes into the
zoo and into DVC's lock file. To write the lock file takes longer the more runs it has, so the
results of many runs are recorded at once.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from tqdm import tqdm

from cifar2 import files
from cifar2.errors import UserError
from zoo.project import (
    ROOT,
    SCRATCH,
    ZOO,
    compose,
    dvc,
    hash_of,
    make_data,
    opened,
    outdated,
    record,
    runs,
    tasks,
)
from zoo.work import CODE, Files, Task, log_of, md5

if TYPE_CHECKING:
    from dvc.repo import Repo

FOLDER = SCRATCH / "zoo"  # for each run its log, its folder, and a list of what it left
SHARE = 0.1  # of the time, which recording may take while runs go on

# Yields now and then the runs that ended, each with what failed or "", and those that go on.
Progress = Generator[tuple[list[tuple[str, str]], list[str]], None, None]
Executor = Callable[[list[Task], Path], Progress]


def train(execute: Executor) -> int:
    """Bring every run up to date, and compare them; return the exit status.

    Raises:
        UserError: if another process does so already.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(FOLDER / "lock", timeout=0):
            return _train(execute)
    except Timeout as error:
        raise UserError("another command trains the zoo of this clone") from error


def _train(execute: Executor) -> int:
    compose()
    code = _copy_of_code()
    with opened() as repo:
        _record_finished(repo)  # by a command that was killed
        left = outdated(repo)
    if left:
        make_data(stage for stages in left.values() for stage in stages)
    with opened() as repo:  # more may be outdated now, if the data came out differently
        every = runs(repo)
        left = outdated(repo)
        print(f"{len(every) - len(left)} of {len(every)} runs are up to date", file=sys.stderr)
        done = len(every) - len(left)
        wanted = tasks(every, left)
        failed = _do_all(repo, wanted, execute(wanted, code), done) if wanted else []
    for name, reason in sorted(failed):
        print(f"zoo: {name}: {reason} (log: {log_of(FOLDER, name)})", file=sys.stderr)
    dvc("repro", "--single-item", "compare", "compare_trials")
    return 1 if failed else 0


def _do_all(repo: Repo, wanted: list[Task], progress: Progress, done: int) -> list[tuple[str, str]]:
    """Let tasks be done, and record their results; return those that failed, with the reason."""
    failed: list[tuple[str, str]] = []
    outputs = {task.name: task.outputs for task in wanted}
    total = done + len(wanted)
    record_at = time.monotonic()
    try:
        with (
            closing(progress),
            tqdm(total=total, initial=done, unit="run", disable=None) as bar,
        ):
            for ended, running in progress:
                failed += [each for each in ended if each[1]]
                for name, reason in ended:
                    if reason:
                        _remove(outputs[name])
                start = time.monotonic()
                if ended and start > record_at:
                    _record_finished(repo)
                    took = time.monotonic() - start
                    record_at = start + took / SHARE
                names = _short(running)
                bar.set_postfix_str(f"{len(failed)} failed, running: {names}")
                bar.update(len(ended))
                done += len(ended)
                if ended and bar.disable:  # not on a terminal
                    print(
                        f"{done} of {total} runs done, {len(failed)} of them failed;"
                        f" running: {names}",
                        file=sys.stderr,
                    )
    finally:
        _record_finished(repo)
    return failed


def _copy_of_code() -> Path:
    """Return a folder with a copy of the code, which no edit changes while runs go on."""
    code = FOLDER / "code"
    shutil.rmtree(code, ignore_errors=True)
    for name in CODE:
        shutil.copytree(ROOT / name, code / name, ignore=shutil.ignore_patterns("__pycache__"))
    (code / "zoo").mkdir()
    for name in ("__init__.py", "work.py"):  # a worker of a cluster imports these
        shutil.copy(ZOO / name, code / "zoo")
    return code


def _remove(outputs: list[str]) -> None:
    """Remove former results of a run that failed, so that no comparison counts them."""
    for output in outputs:
        path = ZOO / output
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _short(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 4 else ""
    return f"{', '.join(names[: 3 if more else None])}{more}" or "none"


def keep(task: Task, written: Files) -> None:
    """Put what a run wrote into the zoo, and note that it is whole, for `_record_finished`."""
    for output in task.outputs:
        if output in written:
            files.write(ZOO / output, written[output])
            continue
        with files.folder(ZOO / output) as part:
            for path, content in written.items():
                if path.startswith(f"{output}/"):
                    files.write(part / path.removeprefix(f"{output}/"), content)
    hashes = task.inputs | {path: md5(content) for path, content in written.items()}
    note = {"stages": [stage for stage, _ in task.commands], "files": hashes}
    files.write(FOLDER / f"{task.name}.json", json.dumps(note).encode())


def _record_finished(repo: Repo) -> None:
    """Record the runs that are whole, if the files they read and wrote are still the same."""
    notes = list(FOLDER.glob("*.json"))
    if not notes:
        return
    whole: set[str] = set()
    for path in notes:
        note = json.loads(path.read_bytes())
        if all(hash_of(ZOO / file) == expected for file, expected in note["files"].items()):
            whole.update(note["stages"])
    record([stage for stages in runs(repo).values() for stage in stages if stage.name in whole])
    for path in notes:
        path.unlink()
