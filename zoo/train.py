"""Do the runs of the zoo that are not up to date, several at once, and record their results.

An executor does the runs: threads of this machine (threads.py), or the machines of a cluster
(cluster.py). Each run has a copy of the code, so an edit meanwhile changes no result. Only this
module writes into the zoo and into DVC's lock file. To write the lock file takes longer the more
runs it has, so the results of many runs are recorded at once.
"""

import json
import shutil
import sys
import time
from contextlib import closing

from tqdm import tqdm

from cifar2 import files
from zoo import ROOT, lock
from zoo.lock import SCRATCH, ZOO, Repo
from zoo.run import COMMANDS, Executor, Files, Progress, Task, copy_code, log_of, md5

# The last two are what a worker of a cluster imports, with `zoo/__init__.py`.
CODE = (*COMMANDS, "zoo/cluster.py", "zoo/run.py")
SHARE = 0.1  # of the time, which recording may take while runs go on


def train(execute: Executor) -> int:
    """Bring every run up to date, and compare them; return the exit status.

    A run that fails, or that could not be recorded, leaves the former results where they are. They
    are in no comparison, because they say that other settings or other code made them. Nor are
    those of runs that the settings no longer have, which stay as well.
    """
    with lock.alone():
        lock.compose()
        shutil.rmtree(SCRATCH / "code", ignore_errors=True)
        copy_code(CODE, ROOT, SCRATCH / "code")
        with lock.opened() as repo:
            _record_finished(repo)  # by a command that was killed
            left = lock.outdated(repo)
        if left:
            lock.make_data()
        with lock.opened() as repo:  # more may be outdated now, if the data came out differently
            every = lock.runs(repo)
            left = lock.outdated(repo)
            done = len(every) - len(left)
            print(f"{done} of {len(every)} runs are up to date", file=sys.stderr)
            tasks = lock.tasks(every, left)
            failed = _do_all(repo, tasks, execute(tasks, ZOO, SCRATCH), done) if tasks else {}
            for name, reason in sorted(failed.items()):
                log = log_of(SCRATCH, name)
                hint = f" (log: {log})" if log.exists() else ""
                print(f"zoo: {name}: {reason}{hint}", file=sys.stderr)
            lock.compare()
    return 1 if failed else 0


def _do_all(repo: Repo, tasks: list[Task], progress: Progress, done: int) -> dict[str, str]:
    """Let tasks be done; keep and record the results; return why some are not recorded, by name."""
    failed: dict[str, str] = {}
    by_name = {task.name: task for task in tasks}
    total = done + len(tasks)
    record_at = time.monotonic()
    try:
        with closing(progress), tqdm(total=total, initial=done, unit="run", disable=None) as bar:
            for ended, running in progress:
                for name, written, reason in ended:
                    try:
                        if not reason:
                            _keep(by_name[name], written)
                    except OSError as error:  # a full disk
                        reason = str(error)
                    if reason:
                        failed[name] = reason
                start = time.monotonic()
                if ended and start > record_at:
                    failed |= _record_finished(repo)
                    record_at = start + (time.monotonic() - start) / SHARE
                more = f" and {len(running) - 3} more" if len(running) > 4 else ""
                names = ", ".join(running[: 3 if more else None]) + more or "none"
                bar.set_postfix_str(f"{len(failed)} failed, running: {names}")
                bar.update(len(ended))
                done += len(ended)
                if ended and bar.disable:  # not on a terminal
                    said = f"{len(failed)} of them failed; running: {names}"
                    print(f"{done} of {total} runs done, {said}", file=sys.stderr)
    finally:
        failed |= _record_finished(repo)
    return failed


def _keep(task: Task, written: Files) -> None:
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
    files.write(SCRATCH / f"{task.name}.json", json.dumps(note).encode())


def _record_finished(repo: Repo) -> dict[str, str]:
    """Record the whole runs if what they read and wrote is the same; return why not, by name."""
    whole: set[str] = set()
    refused: dict[str, str] = {}
    notes = list(SCRATCH.glob("*.json"))
    for path in notes:
        note = json.loads(path.read_bytes())
        for file, expected in note["files"].items():
            if lock.hash_of(ZOO / file) != expected:
                refused[path.stem] = f"done, but not recorded, because {file} changed meanwhile"
                break
        else:
            whole.update(note["stages"])
    stages = [stage for stages in lock.runs(repo).values() for stage in stages] if notes else []
    lock.record([stage for stage in stages if stage.name in whole])
    for path in notes:
        path.unlink()
    return refused
