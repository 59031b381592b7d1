"""A run of the zoo: the commands of its stages, in a folder of its own, here or elsewhere.

A worker of a cluster imports this, so it imports nothing of the project.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

# What the commands of a run need beside their inputs.
COMMANDS = ("src", "stages", "zoo/__init__.py", "zoo/folds.py")
# Commands call plain `python`: it is the one that runs this, in an activated environment or not.
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

Files = dict[str, bytes]  # contents, by path from the folder of the zoo


class Task(NamedTuple):
    """What it takes to do a run. Paths are relative to the folder of the zoo, with slashes.

    commands: the name of each stage, and its command line.
    inputs: the MD5 of each file that the commands read.
    outputs: the files and folders that they write.
    """

    name: str
    commands: list[tuple[str, str]]
    inputs: dict[str, str]
    outputs: list[str]


class Ended(NamedTuple):
    """A run that ended: the files that it wrote, or why there are none."""

    name: str
    files: Files
    failure: str = ""


# An executor does tasks. It takes them, the folder of the zoo, and a scratch folder, which has a
# copy of the code in `code` and gets the logs. Now and then it yields the runs that ended since,
# and the names of those that go on.
Progress = Generator[tuple[list[Ended], list[str]], None, None]
Executor = Callable[[list[Task], Path, Path], Progress]


class Failed(Exception):
    """A run gave no results; the message says why."""


def copy_code(names: Iterable[str], root: Path, to: Path) -> None:
    """Copy files and folders of the project, which may be given as patterns."""
    for path in (path for name in names for path in root.glob(name)):
        target = to / path.relative_to(root)
        if path.is_dir():
            shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def do(
    task: Task,
    code: Path,
    inputs: Mapping[str, bytes | Path],
    scratch: Path,
    variables: Mapping[str, str],
) -> Files:
    """Do a run with `code` and `inputs` (contents or files), in a folder of its own in `scratch`.

    Returns what it wrote; the folder is removed, and the log stays.

    Raises:
        Failed: if a command fails, an input has another hash, or an output is missing.
    """
    folder, log = scratch / task.name, log_of(scratch, task.name)
    shutil.rmtree(folder, ignore_errors=True)
    log.unlink(missing_ok=True)
    try:
        copy_code(COMMANDS, code, folder)
        for path, content in inputs.items():
            content = content if isinstance(content, bytes) else content.read_bytes()
            if md5(content) != task.inputs[path]:
                raise Failed(f"{path} changed meanwhile")
            (folder / "zoo" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "zoo" / path).write_bytes(content)
        return outputs_of(task, folder / "zoo", log, variables)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def log_of(scratch: Path, name: str) -> Path:
    """Return where the commands' output of a run is."""
    return scratch / f"{name}.log"


def outputs_of(task: Task, folder: Path, log: Path, variables: Mapping[str, str]) -> Files:
    """Run the commands of a task in a folder with its inputs; return what they wrote.

    Raises:
        Failed: if a command fails, or an output is missing.
    """
    for stage, command in task.commands:
        call(stage, command, folder, log, variables)
    found = {}
    for output in task.outputs:
        path = folder / output
        if not path.exists():
            raise Failed(f"{output} was not written")
        for file in filter(Path.is_file, [path, *sorted(path.rglob("*"))]):
            found[file.relative_to(folder).as_posix()] = file.read_bytes()
    return found


def call(stage: str, command: str, folder: Path, log: Path, variables: Mapping[str, str]) -> None:
    """Run a stage's command in the folder of its dvc.yaml; add what it prints to `log`.

    Raises:
        Failed: if it fails, with the last line that the stage printed itself, or the last one.
    """
    # DVC sets these, too. By DVC_STAGE, a stage notices when the process that runs it was killed.
    own = {"PATH": PATH, "DVC_ROOT": str(folder), "DVC_STAGE": stage}
    env = os.environ | own | dict(variables)
    with open(log, "ab") as file:
        file.write(f"Running stage '{stage}':\n> {command}\n".encode())
        file.flush()
        status = subprocess.call(command, shell=True, cwd=folder, env=env, stdout=file, stderr=file)
    if status:
        said = log.read_text(encoding="utf-8", errors="replace").splitlines()
        script = stage.partition("_")[0]  # an error's line begins with its name
        reasons = [line for line in said if line.startswith(f"{script}: ")] or said
        raise Failed(reasons[-1])
