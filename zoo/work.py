"""A run of the zoo: its stages' commands, typed in a folder of its own, here or on another machine.

A worker of a cluster imports this, so it imports nothing of the project.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

CODE = ("src", "stages")  # what the commands need beside their inputs
LIBRARIES = ("torch", "numpy", "dvclive")


class Task(NamedTuple):
    """What it takes to do a run. Paths are relative to the folder `zoo`, with slashes.

    commands: the name of each stage, and its command line.
    inputs: the MD5 of each file that the commands read.
    outputs: the files and folders that they write.
    """

    name: str
    commands: list[tuple[str, str]]
    inputs: dict[str, str]
    outputs: list[str]


Files = dict[str, bytes]  # contents, by path from the folder `zoo`


class Failed(Exception):
    """A run gave no results; the message says why."""


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def do(
    task: Task,
    code: Path,
    inputs: Mapping[str, bytes | Path],
    scratch: Path,
    variables: Mapping[str, str],
) -> Files:
    """Do a run; return what it wrote.

    Args:
        code: a folder with the project's code.
        inputs: the contents of the task's inputs, or where they lie.
        scratch: the folder for the run's own folder, which is removed at the end, and its log.
        variables: to add to the environment.

    Raises:
        Failed: if a command fails, an input has another hash, or an output is missing.
    """
    folder, log = scratch / task.name, log_of(scratch, task.name)
    shutil.rmtree(folder, ignore_errors=True)
    log.unlink(missing_ok=True)
    try:
        for name in CODE:
            shutil.copytree(code / name, folder / name)
        for path, content in inputs.items():
            content = content if isinstance(content, bytes) else content.read_bytes()
            if md5(content) != task.inputs[path]:
                raise Failed(f"{path} changed on its way")
            (folder / "zoo" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "zoo" / path).write_bytes(content)
        for stage, command in task.commands:
            call(stage, command, folder / "zoo", log, variables)
        return files_of(folder / "zoo", task.outputs)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def log_of(scratch: Path, name: str) -> Path:
    """Return where the commands' output of a run is."""
    return scratch / f"{name}.log"


class Returned(NamedTuple):
    """What another machine sends back.

    node, address: of the machine, in the cluster.
    log: what the commands printed.
    hashes: the MD5 of each file, taken there.
    failure: why there are no files, or "".
    """

    node: str
    address: str
    log: bytes
    files: Files
    hashes: dict[str, str]
    failure: str


def do_elsewhere(
    task: Task, small: Files, large: Mapping[str, Any], expected: Mapping[str, str]
) -> Returned:
    """Do a run on a worker of Ray.

    Args:
        small, large: inputs, and Ray's references to inputs.
        expected: the versions that a worker must have; this one may have come later than others.
    """
    import ray

    address = ray.util.get_node_ip_address()
    files: Files = {}
    failure = ""
    with tempfile.TemporaryDirectory() as scratch:
        log = log_of(Path(scratch), task.name)
        try:
            if (found := versions()) != expected:
                raise Failed(f"{address} has other versions: {found}")
            inputs = small | {path: ray.get(ref) for path, ref in large.items()}
            files = do(task, Path.cwd(), inputs, Path(scratch), {})
        except (Failed, OSError) as error:
            failure = str(error)
        said = log.read_bytes() if log.exists() else b""
    hashes = {path: md5(content) for path, content in files.items()}
    node = ray.get_runtime_context().get_node_id()
    return Returned(node, address, said, files, hashes, failure)


def versions() -> dict[str, str]:
    """Return the versions of what decides the bytes of results beside code, data and settings."""
    builds = {}
    for name in LIBRARIES:
        try:
            builds[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            builds[name] = "(none)"
    # Without "+cpu": on a CPU, builds for other GPUs do the same.
    return {"Python": platform.python_version()} | {
        name: build.partition("+")[0] for name, build in builds.items()
    }


def call(
    stage: str, command: str, folder: Path, log: Path, variables: Mapping[str, str] | None = None
) -> None:
    """Type a stage's command in the folder of its dvc.yaml; add what it prints to `log`.

    Raises:
        Failed: if it fails, with the last line that the stage printed itself, or the last one.
    """
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        # As DVC does. By the second, a stage notices when the process that runs it was killed.
        "DVC_ROOT": str(folder),
        "DVC_STAGE": stage,
        **(variables or {}),
    }
    with open(log, "ab") as file:
        file.write(f"Running stage '{stage}':\n> {command}\n".encode())
        file.flush()
        status = subprocess.call(
            command, shell=True, cwd=folder, env=environment, stdout=file, stderr=file
        )
    if status:
        said = log.read_text(encoding="utf-8", errors="replace").splitlines()
        script = stage.partition("_")[0]  # which begins its error's line with its name
        reasons = [line for line in said if line.startswith(f"{script}: ")] or said
        raise Failed(reasons[-1])


def files_of(folder: Path, outputs: list[str]) -> Files:
    """Return the contents of files, and of all files in folders.

    Raises:
        Failed: if one is not there.
    """
    found = {}
    for output in outputs:
        path = folder / output
        if not path.exists():
            raise Failed(f"{output} was not written")
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                found[file.relative_to(folder).as_posix()] = file.read_bytes()
    return found
