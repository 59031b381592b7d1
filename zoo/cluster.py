"""The machines of a Ray cluster do the zoo's runs.

A run is a task of Ray. Its code and inputs come from here, and what it wrote comes back; a machine
needs only the same environment. If a process or a machine dies, Ray gives its run to another.
"""

from __future__ import annotations

import functools
import importlib.metadata
import logging
import platform
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cifar2.errors import UserError, first_line
from zoo.run import Ended, Executor, Failed, Progress, Task, do, log_of

if TYPE_CHECKING:
    from ray import ObjectRef


def do_elsewhere(task: Task, *contents: bytes) -> tuple[Ended, bytes]:
    """Do a run on a worker of Ray, with the contents of its inputs; return its log as well."""
    inputs = dict(zip(task.inputs, contents, strict=True))
    with tempfile.TemporaryDirectory() as scratch:
        try:
            ended = Ended(task.name, do(task, Path.cwd(), inputs, Path(scratch), {}))
        except (Failed, OSError) as error:
            ended = Ended(task.name, {}, str(error))
        log = log_of(Path(scratch), task.name)
        return ended, log.read_bytes() if log.exists() else b""


def versions() -> str:
    """Return the versions of what decides the bytes of results beside code, data and settings."""
    found = [f"Python {platform.python_version()}"]
    for name in ("torch", "numpy", "dvclive"):
        # Without "+cpu": on a CPU, builds for other GPUs do the same.
        found.append(f"{name} {importlib.metadata.version(name).partition('+')[0]}")
    return ", ".join(found)


def on_cluster(address: str) -> Executor:
    """Return an executor for a cluster, by its address: HOST:PORT, or auto for the one here.

    Raises:
        UserError: if Ray is not installed. When it is called: if there is no such cluster, if this
            machine's token is missing or wrong, or if a machine has other versions.
    """
    try:
        import ray
    except ImportError as error:
        install = 'pip install -c constraints.txt -e ".[cluster]"'
        raise UserError(f"Ray is not installed: {install}") from error

    def execute(tasks: list[Task], zoo: Path, scratch: Path) -> Progress:
        @functools.cache  # what many runs read goes to each machine once
        def stored(path: str) -> ObjectRef[bytes]:
            return ray.put((zoo / path).read_bytes())

        do_there = ray.remote(scheduling_strategy="SPREAD")(do_elsewhere)
        _connect(address, scratch / "code")
        try:
            _check_versions()
            waiting = tasks[::-1]
            running: dict[ObjectRef[tuple[Ended, bytes]], str] = {}
            while waiting or running:
                # All results at once would not fit into memory.
                while waiting and len(running) < 2 * ray.cluster_resources().get("CPU", 1):
                    task = waiting.pop()
                    inputs = map(stored, task.inputs)
                    ref = do_there.options(name=task.name).remote(task, *inputs)
                    running[ref] = task.name
                done = ray.wait(list(running), timeout=2)[0]
                ended = [_received(running.pop(ref), ref, scratch) for ref in done]
                yield ended, sorted(running.values())
        finally:
            ray.shutdown()

    return execute


def _connect(address: str, code: Path) -> None:
    import ray

    host, _, port = address.rpartition(":")
    try:
        if port.isdecimal():  # where nobody answers, Ray itself would try for minutes
            socket.create_connection((host, int(port)), timeout=10).close()
        environment = {"working_dir": str(code)}
        ray.init(address, runtime_env=environment, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError, ray.exceptions.AuthenticationError) as error:
        reason = " ".join(str(error).split()).partition(". ")[0]  # Ray's hints fill ten lines
        raise UserError(f"--cluster: {address}: {reason}; see docs/cluster.md") from error


def _check_versions() -> None:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = ray.remote(num_cpus=0)(versions)
    found = {}
    for node in ray.nodes():
        if node["Alive"]:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            found[node["NodeManagerAddress"]] = look.options(scheduling_strategy=there).remote()
    for place, ref in found.items():
        try:
            theirs = ray.get(ref)
        except ray.exceptions.RayError as error:
            # The cause is the error there: a library is missing.
            reason = first_line(getattr(error, "cause", error))
            raise UserError(f"--cluster: {place}: {reason}") from error
        if theirs != versions():
            differ = f"{place} has {theirs}, this machine has {versions()}"
            raise UserError(f"{differ}; install the same there, or run `ray stop` there")


def _received(name: str, ref: ObjectRef[tuple[Ended, bytes]], scratch: Path) -> Ended:
    """Return how a run ended, and write its log."""
    import ray

    try:
        ended, log = ray.get(ref)
    except ray.exceptions.RayTaskError:
        raise  # a fault of ours
    except ray.exceptions.RayError as error:  # the machines that did it died, again and again
        return Ended(name, {}, first_line(error))
    log_of(scratch, name).write_bytes(log)
    return ended
