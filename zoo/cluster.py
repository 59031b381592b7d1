"""The machines of a Ray cluster do the zoo's runs.

A run is a task of Ray. Its code and inputs come from here, so a machine needs no clone, only the
same Python and libraries. What it wrote comes back, with hashes. If the process or the machine that
does a run dies, Ray gives the run to another.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import socket
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cifar2.errors import UserError, first_line
from zoo.project import ZOO
from zoo.train import FOLDER, Executor, Progress, keep
from zoo.work import Returned, Task, do_elsewhere, log_of, md5, versions

if TYPE_CHECKING:
    from ray import ObjectRef

KERNELS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA")  # these hold a CPU to older instructions
# A run that asks for no GPU sees none. Otherwise Ray shows it all of them, and `auto` takes one.
HIDE = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}
RETRIES = 3  # after a process or a machine died
GPU_SHARE = 0.25  # of a GPU, for a run on one: the networks are small
LARGE = 100_000  # bytes; a larger input goes to each machine once, not with each run


def on_cluster(address: str, verify: int) -> Executor:
    """Return what does tasks on a cluster.

    Args:
        address: of the cluster, or "auto" for the one that runs here.
        verify: so many runs, drawn at random, are done on two machines, and must come out equal.

    Raises:
        UserError: if Ray is not installed. When it is called: if there is no such cluster, if one
            of its machines has other versions, or if it has too few machines.
    """
    try:
        import ray
    except ImportError as error:
        raise UserError(
            'Ray is not installed: pip install -c constraints.txt -e ".[cluster]"'
        ) from error

    def execute(wanted: list[Task], code: Path) -> Progress:
        with connected(address, code) as nodes:
            if verify and len(nodes) < 2:
                raise UserError("--verify: the cluster has only one machine")
            twice = {task.name for task in random.sample(wanted, min(verify, len(wanted)))}
            waiting = wanted[::-1]
            running: dict[ObjectRef[Returned], tuple[Task, Returned | None]] = {}
            inputs = _Inputs()
            while waiting or running:
                ended = []
                # All results at once would not fit into memory.
                at_once = 2 * int(ray.cluster_resources().get("CPU", 1))
                while waiting and len(running) < at_once:
                    task = waiting.pop()
                    if lack := _lack(task, nodes.values()):
                        ended.append((task.name, lack))
                    else:
                        running[_submit(task, inputs)] = task, None
                for ref in ray.wait(list(running), timeout=2)[0] if running else []:
                    task, before = running.pop(ref)
                    returned = _get(ref)
                    if task.name in twice and not before and not returned.failure:
                        others = [
                            node
                            for node, machine in nodes.items()
                            if node != returned.node and not _lack(task, [machine])
                        ]
                        if others:
                            running[_submit(task, inputs, random.choice(others))] = task, returned
                            continue
                        _say_unverified(task, "no other machine has what it takes")
                    ended.append((task.name, _received(task, returned, before)))
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
        context = ray.init(
            address,
            runtime_env={"working_dir": str(code), "env_vars": HIDE | pinned},
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, ray.exceptions.AuthenticationError) as error:
        hint = "no cluster answers; `ray start --head` starts one"
        # For a wrong token Ray raises a ConnectionError, and only the text of its cause says why.
        if "AuthenticationError" in f"{error!r} {error.__cause__}":
            hint = (
                "this machine has no token, or not the cluster's; copy the head's"
                " ~/.ray/auth_token, and set RAY_AUTH_MODE=token"
            )
        raise UserError(f"--cluster: {address}: {hint}") from error
    except (RuntimeError, ValueError) as error:
        raise UserError(f"--cluster: {address}: {' '.join(str(error).split())}") from error
    try:
        if url := context.dashboard_url:
            print(f"Ray's dashboard: http://{url}", file=sys.stderr)
        nodes = {
            node["NodeID"]: node
            for node in ray.nodes()
            if node["Alive"] and node["Resources"].get("CPU")
        }
        look = ray.remote(num_cpus=0)(versions)
        found = {
            node: look.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
            ).remote()
            for node in nodes
        }
        for node, ref in found.items():
            place = nodes[node]["NodeManagerAddress"]
            try:
                theirs = ray.get(ref)
            except ray.exceptions.RayError as error:
                raise UserError(f"--cluster: {place}: {first_line(error)}") from error
            for name, ours in versions().items():
                if theirs[name] != ours:
                    raise UserError(
                        f"{place} has {name} {theirs[name]}, this machine has {ours}; install the"
                        " same there, or run `ray stop` there"
                    )
        yield {node: each["Resources"] for node, each in nodes.items()}
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


class _Inputs:
    """The inputs of tasks. Large ones are in Ray's object store, once for all tasks."""

    def __init__(self) -> None:
        self._stored: dict[tuple[str, str], ObjectRef[bytes]] = {}

    def of(self, task: Task) -> tuple[dict[str, bytes], dict[str, ObjectRef[bytes]]]:
        """Return the small and the large inputs of a task, by their paths."""
        import ray

        small, large = {}, {}
        for path, hash in task.inputs.items():
            key = path, hash
            if key not in self._stored:
                content = (ZOO / path).read_bytes()
                if len(content) <= LARGE:
                    small[path] = content
                    continue
                self._stored[key] = ray.put(content)
            large[path] = self._stored[key]
        return small, large


def _submit(task: Task, inputs: _Inputs, node: str | None = None) -> ObjectRef[Returned]:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    place = NodeAffinitySchedulingStrategy(node, soft=False) if node else "SPREAD"
    remote = ray.remote(do_elsewhere).options(
        name=task.name, max_retries=RETRIES, scheduling_strategy=place, **_resources(task)
    )
    small, large = inputs.of(task)
    return remote.remote(task, small, large, versions())


def _resources(task: Task) -> dict[str, float]:
    """Return what a task takes of a machine, by the settings of its training."""
    settings = ZOO / "settings" / "train" / f"{task.name}.yaml"
    train: dict[str, Any] = yaml.safe_load(settings.read_bytes())["train"]
    resources = {"num_cpus": max(train["threads"], 1)}
    if train["device"].startswith("cuda"):
        resources["num_gpus"] = GPU_SHARE
    return resources


def _lack(task: Task, machines: Iterable[dict[str, float]]) -> str:
    """Return what a run takes that none of the machines has, or ""."""
    takes = _resources(task)
    kinds = {"num_cpus": "CPU", "num_gpus": "GPU"}
    for machine in machines:
        if all(machine.get(kinds[word], 0) >= amount for word, amount in takes.items()):
            return ""
    cores = f"{takes['num_cpus']:g} core{'' if takes['num_cpus'] == 1 else 's'}"
    gpu = " and a GPU" if "num_gpus" in takes else ""
    return f"it takes {cores}{gpu}, and no machine of the cluster has that"


def _get(ref: ObjectRef[Returned]) -> Returned:
    import ray

    try:
        return ray.get(ref)
    except ray.exceptions.RayTaskError:
        raise  # a fault of ours
    except ray.exceptions.TaskUnschedulableError as error:
        return Returned("", "", b"", {}, {}, first_line(error))
    except ray.exceptions.RayError as error:
        return Returned("", "", b"", {}, {}, f"{first_line(error)} (tried {RETRIES + 1} times)")


def _say_unverified(task: Task, reason: str) -> None:
    print(f"zoo: {task.name}: done on one machine only: {reason}", file=sys.stderr)


def _received(task: Task, returned: Returned, before: Returned | None) -> str:
    """Keep what a worker returned, if it is whole; return what is wrong with it, or ""."""
    if before and returned.failure:
        _say_unverified(task, returned.failure)
        returned, before = before, None
    FOLDER.mkdir(parents=True, exist_ok=True)
    place = f"On {returned.address}\n".encode()
    log_of(FOLDER, task.name).write_bytes(place + returned.log)
    if returned.failure:
        return returned.failure
    if {path: md5(content) for path, content in returned.files.items()} != returned.hashes:
        return f"what {returned.address} sent was damaged on its way"
    if before and before.hashes != returned.hashes:
        differing = sorted(
            path for path, hash in returned.hashes.items() if before.hashes.get(path) != hash
        )
        return f"{before.address} and {returned.address} disagree: {', '.join(differing)}"
    try:
        keep(task, returned.files)
    except OSError as error:  # a full disk
        return str(error)
    return ""
