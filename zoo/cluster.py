"""The machines of a Ray cluster do the zoo's runs.

A run is a task of Ray. Its code and inputs come from here, so a machine needs no clone, only the
same Python and libraries. What it wrote comes back, with hashes. If the process or the machine that
does a run dies, Ray gives the run to another.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import logging
import os
import platform
import random
import socket
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from cifar2.errors import UserError, first_line
from zoo.run import Ended, Executor, Failed, Files, Progress, Task, do, log_of, md5

if TYPE_CHECKING:
    from ray import ObjectRef

LIBRARIES = ("torch", "numpy", "dvclive")
KERNELS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA")  # these hold a CPU to older instructions
# A run that asks for no GPU sees none. Otherwise Ray shows it all of them, and `auto` takes one.
HIDE = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}
RETRIES = 3  # after a process or a machine died
GPU_SHARE = 0.25  # of a GPU, for a run on one: the networks are small


class Returned(NamedTuple):
    """What another machine sends back."""

    node: str  # its ID in the cluster
    address: str
    log: bytes  # what the commands printed
    files: Files
    hashes: dict[str, str]  # the MD5 of each file, taken there
    failure: str  # why there are no files, or ""


def do_elsewhere(
    task: Task, inputs: Mapping[str, ObjectRef[bytes]], expected: Mapping[str, str]
) -> Returned:
    """Do a run on a worker of Ray, which may have come later than others, with other versions."""
    import ray

    address = ray.util.get_node_ip_address()
    files: Files = {}
    failure = ""
    with tempfile.TemporaryDirectory() as scratch:
        log = log_of(Path(scratch), task.name)
        try:
            if (found := versions()) != expected:
                raise Failed(f"{address} has other versions: {found}")
            contents = {path: ray.get(ref) for path, ref in inputs.items()}
            files = do(task, Path.cwd(), contents, Path(scratch), {})
        except (Failed, OSError) as error:
            failure = str(error)
        said = log.read_bytes() if log.exists() else b""
    hashes = {path: md5(content) for path, content in files.items()}
    node = ray.get_runtime_context().get_node_id()
    return Returned(node, address, said, files, hashes, failure)


def versions() -> dict[str, str]:
    """Return the versions of what decides the bytes of results beside code, data and settings."""
    found = {"Python": platform.python_version()}
    for name in LIBRARIES:
        try:
            # Without "+cpu": on a CPU, builds for other GPUs do the same.
            found[name] = importlib.metadata.version(name).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            found[name] = "(none)"
    return found


def on_cluster(address: str, verify: int) -> Executor:
    """Return an executor for a cluster; `verify` tasks, drawn at random, must come out equal twice.

    Raises:
        UserError: if Ray is not installed. When it is called: if there is no such cluster, if one
            of its machines has other versions, or if it has too few machines.
    """
    try:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
    except ImportError as error:
        install = 'pip install -c constraints.txt -e ".[cluster]"'
        raise UserError(f"Ray is not installed: {install}") from error

    def execute(tasks: list[Task], zoo: Path, scratch: Path) -> Progress:
        settings = zoo / "settings" / "train"
        takes = {task.name: _resources(settings / f"{task.name}.yaml") for task in tasks}

        @functools.cache  # what many runs read goes to each machine once
        def stored(path: str, _: str) -> ObjectRef[bytes]:
            return ray.put((zoo / path).read_bytes())

        def submit(task: Task, node: str | None = None) -> ObjectRef[Returned]:
            place = NodeAffinitySchedulingStrategy(node, soft=False) if node else "SPREAD"
            remote = ray.remote(do_elsewhere).options(
                name=task.name, max_retries=RETRIES, scheduling_strategy=place, **takes[task.name]
            )
            inputs = {path: stored(path, hash) for path, hash in task.inputs.items()}
            return remote.remote(task, inputs, versions())

        with connected(address, scratch / "code") as nodes:
            if verify and len(nodes) < 2:
                raise UserError("--verify: the cluster has only one machine")
            twice = {task.name for task in random.sample(tasks, min(verify, len(tasks)))}
            waiting = tasks[::-1]
            running: dict[ObjectRef[Returned], tuple[Task, Returned | None]] = {}
            while waiting or running:
                ended = []
                # All results at once would not fit into memory.
                at_once = 2 * int(ray.cluster_resources().get("CPU", 1))
                while waiting and len(running) < at_once:
                    task = waiting.pop()
                    if lack := _lack(takes[task.name], nodes.values()):
                        ended.append(Ended(task.name, {}, lack))
                    else:
                        running[submit(task)] = task, None
                for ref in ray.wait(list(running), timeout=2)[0] if running else []:
                    task, before = running.pop(ref)
                    returned = _get(ref)
                    if task.name in twice and not before and not returned.failure:
                        others = nodes.keys() - {returned.node}
                        needed = takes[task.name]
                        if able := [each for each in others if not _lack(needed, [nodes[each]])]:
                            running[submit(task, random.choice(able))] = task, returned
                            continue
                        _say_unverified(task.name, "no other machine has what it takes")
                    ended.append(_received(task.name, returned, before, scratch))
                yield ended, sorted({task.name for task, _ in running.values()})

    return execute


@contextlib.contextmanager
def connected(address: str, code: Path) -> Iterator[dict[str, dict[str, float]]]:
    """Connect to a cluster; yield what its machines have, by their IDs.

    Raises:
        UserError: if there is no such cluster, if this machine's token is missing or wrong, or if a
            machine has other versions.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    _check_address(address)
    pinned = {name: os.environ[name] for name in KERNELS if name in os.environ}
    try:
        environment = {"working_dir": str(code), "env_vars": HIDE | pinned}
        context = ray.init(
            address, runtime_env=environment, log_to_driver=False, logging_level=logging.ERROR
        )
    except (ConnectionError, ray.exceptions.AuthenticationError) as error:
        hint = "no cluster answers; `ray start --head` starts one"
        # For a wrong token Ray raises a ConnectionError, and only the text of its cause says why.
        if "AuthenticationError" in f"{error!r} {error.__cause__}":
            hint = "this machine has no token, or not the cluster's; copy the head's"
            hint += " ~/.ray/auth_token, and set RAY_AUTH_MODE=token"
        raise UserError(f"--cluster: {address}: {hint}") from error
    except (RuntimeError, ValueError) as error:
        raise UserError(f"--cluster: {address}: {' '.join(str(error).split())}") from error
    try:
        if url := context.dashboard_url:
            print(f"Ray's dashboard: http://{url}", file=sys.stderr)
        able = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        look = ray.remote(num_cpus=0)(versions)
        there = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in able]
        found = [look.options(scheduling_strategy=each).remote() for each in there]
        for node, ref in zip(able, found, strict=True):
            place = node["NodeManagerAddress"]
            try:
                theirs = ray.get(ref)
            except ray.exceptions.RayError as error:
                raise UserError(f"--cluster: {place}: {first_line(error)}") from error
            for name, ours in versions().items():
                if theirs[name] != ours:
                    differ = f"{place} has {name} {theirs[name]}, this machine has {ours}"
                    raise UserError(f"{differ}; install the same there, or run `ray stop` there")
        yield {node["NodeID"]: node["Resources"] for node in able}
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Refuse an address where nobody answers; Ray itself would try for many minutes."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except ValueError as error:
        raise UserError(f"--cluster: {address!r}: it is HOST:PORT, or auto") from error
    except OSError as error:
        raise UserError(f"--cluster: {address}: {error.strerror or error}") from error


def _resources(settings: Path) -> dict[str, float]:
    """Return what a run takes of a machine, by the settings of its training."""
    train: dict[str, Any] = yaml.safe_load(settings.read_bytes())["train"]
    resources = {"num_cpus": max(train["threads"], 1)}
    if train["device"].startswith("cuda"):
        resources["num_gpus"] = GPU_SHARE
    return resources


def _lack(takes: dict[str, float], machines: Iterable[dict[str, float]]) -> str:
    """Return what a run takes that none of the machines has, or ""."""
    cpus, gpus = takes["num_cpus"], takes.get("num_gpus", 0)
    if any(each.get("CPU", 0) >= cpus and each.get("GPU", 0) >= gpus for each in machines):
        return ""
    cores = f"{cpus:g} core{'' if cpus == 1 else 's'}{' and a GPU' if gpus else ''}"
    return f"it takes {cores}, and no machine of the cluster has that"


def _get(ref: ObjectRef[Returned]) -> Returned:
    import ray

    try:
        return ray.get(ref)
    except ray.exceptions.RayTaskError:
        raise  # a fault of ours
    except ray.exceptions.RayError as error:
        unplaced = isinstance(error, ray.exceptions.TaskUnschedulableError)
        tried = "" if unplaced else f" (tried {RETRIES + 1} times)"
        return Returned("", "", b"", {}, {}, first_line(error) + tried)


def _say_unverified(name: str, reason: str) -> None:
    print(f"zoo: {name}: done on one machine only: {reason}", file=sys.stderr)


def _received(name: str, returned: Returned, before: Returned | None, scratch: Path) -> Ended:
    """Return what a worker returned, if it is whole, or what is wrong with it; write its log.

    `before` is what another machine returned for the same run, if it is to be verified.
    """
    if before and returned.failure:
        _say_unverified(name, returned.failure)
        returned, before = before, None
    log_of(scratch, name).write_bytes(f"On {returned.address}\n".encode() + returned.log)
    failure = returned.failure
    if {path: md5(content) for path, content in returned.files.items()} != returned.hashes:
        failure = f"what {returned.address} sent was damaged on its way"
    elif before and before.hashes != returned.hashes:
        differing = sorted(path for path, _ in returned.hashes.items() - before.hashes.items())
        failure = f"{before.address} and {returned.address} disagree: {', '.join(differing)}"
    return Ended(name, {} if failure else returned.files, failure)
