"""The zoo on a Ray cluster of two nodes on this machine: the same results, whatever dies."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from tests.conftest import ROOT, contents, copy_clone, environment, ray_alone, run, wait_for
from tests.zoo.conftest import RUNS, locked, train, variant, write_zoo
from zoo.run import copy_code
from zoo.train import CODE

pytest.importorskip("ray", reason="it takes the extra `cluster`")
if sys.platform != "linux":
    pytest.skip("two nodes on one machine take Linux", allow_module_level=True)
pytestmark = pytest.mark.slow

HEAD, OTHER = "127.0.0.1", "127.0.0.2"
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": 64 * "a"}


class Cluster(NamedTuple):
    address: str
    head: subprocess.Popen[bytes]
    scratch: Path


def start_node(log: Path, *options: str, **variables: str) -> subprocess.Popen[bytes]:
    """Start a node of one core; `ray start --block` is the parent of its processes."""
    words = ["ray", "start", "--block", "--num-cpus=1", "--disable-usage-stats", *options]
    env = environment(**TOKEN, **variables)
    with open(log, "wb") as file:
        node = subprocess.Popen(words, env=env, stdout=file, stderr=file, start_new_session=True)
    wait_for(lambda: "Ray runtime started" in log.read_text() or node.poll() is not None)
    assert node.poll() is None, log.read_text()
    return node


@contextmanager
def other_node(cluster: Cluster, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a second node with these environment variables; let it sign off at the end."""
    options = (f"--address={cluster.address}", f"--node-ip-address={OTHER}")
    node = start_node(cluster.scratch / "other.log", *options, **variables)
    try:
        yield node
    finally:
        node.terminate()
        node.wait(60)


def kill(node: subprocess.Popen[bytes]) -> None:
    """Kill all processes of a node at once."""
    for process in [psutil.Process(node.pid), *psutil.Process(node.pid).children(recursive=True)]:
        process.kill()
    node.wait()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Give a cluster of one node, which wants a token."""
    with socket.socket() as unused:
        unused.bind((HEAD, 0))
        port = unused.getsockname()[1]
    options = (f"--port={port}", f"--node-ip-address={HEAD}", "--include-dashboard=false")
    # A short path, because the names of Ray's sockets have at most 107 characters.
    folder = tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True)
    with ray_alone(), folder as scratch:
        log = Path(scratch) / "head.log"
        head = start_node(log, "--head", f"--temp-dir={scratch}", *options)
        yield Cluster(f"{HEAD}:{port}", head, Path(scratch))
        if head.poll() is None:
            kill(head)


@pytest.fixture
def zoo(trained: Path, tmp_path: Path) -> Path:
    """Give a copy of the clone in which no run was done."""
    copy = copy_clone(trained, tmp_path / "copy")
    for name in ("runs", "models", "cards"):
        shutil.rmtree(copy / "zoo" / name)
    (copy / "zoo" / "dvc.lock").unlink()
    return copy


def train_on(
    cluster: Cluster, clone: Path, *options: str, status: int = 0, env: dict[str, str] = TOKEN
) -> str:
    return train(clone, "--cluster", cluster.address, *options, status=status, env=TOKEN | env)


@contextmanager
def training(clone: Path, cluster: Cluster) -> Iterator[subprocess.Popen[bytes]]:
    """Train, and go on when the first run has come back."""
    words = [sys.executable, "-m", "zoo", "train", "--cluster", cluster.address]
    env = environment(**TOKEN)
    with open(clone / "said", "wb") as file:
        process = subprocess.Popen(words, cwd=clone, env=env, stdout=file, stderr=file)
    wait_for(lambda: "\n1 of " in said(clone) or process.poll() is not None, 600)
    yield process
    process.wait(timeout=600)


def said(clone: Path) -> str:
    return (clone / "said").read_text()


def workers() -> list[psutil.Process]:
    """Return the processes that do a run; Ray gives them its name."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it may have ended meanwhile
            if re.match(rf"ray::({'|'.join(RUNS)})", " ".join(process.cmdline())):
                found.append(process)
    return found


def test_results_are_those_of_threads_although_a_process_and_a_node_die(
    zoo: Path, trained: Path, cluster: Cluster
) -> None:
    with other_node(cluster) as other, training(zoo, cluster):
        wait_for(workers)  # each may be between two runs
        workers()[0].kill()
        wait_for(lambda: len(workers()) == 2)
        assert "\n4 of " not in said(zoo)
        kill(other)
    assert "\n4 of 4 runs done, 0 of them failed; running: none\n" in said(zoo)
    for name in ("runs", "models", "cards"):
        assert contents(zoo / "zoo" / name) == contents(trained / "zoo" / name)
    assert locked(zoo) == locked(trained)
    logs = list((zoo / "zoo/.dvc/tmp/zoo").glob("*.log"))
    assert len(logs) == 4
    assert all(re.match(r"On \d+\.\d+\.", log.read_text()) for log in logs)
    assert train(zoo) == "4 of 4 runs are up to date\n"


def test_what_fails_is_named_and_former_results_stay(
    trained: Path, tmp_path: Path, cluster: Cluster
) -> None:
    """By its learning rate, or because no machine can take it; the others go on."""
    zoo = copy_clone(trained, tmp_path / "copy")
    before = contents(zoo / "zoo/runs")
    variants = {
        "other": variant("netdepth", train={"lr": 1e9}),
        "res": variant("netres", train={"threads": 64}),
        "tame": variant("net"),
    }
    write_zoo(zoo, quick={"seeds": [1], "variants": variants})
    told = train_on(cluster, zoo, status=1)
    assert "\n3 of 3 runs done, 2 of them failed; running: none\n" in told
    assert re.search(r"^zoo: other-1: train: train\.lr: at 1e\+09 the loss", told, re.MULTILINE)
    assert "\nzoo: res-1: it takes 64 cores, and no machine of the cluster has that\n" in told
    after = contents(zoo / "zoo/runs").items()
    assert {name.partition("/")[0] for name, _ in after ^ before.items()} == {"tame-1"}
    assert list(json.loads((zoo / "zoo/results.json").read_text())) == ["tame"]


def test_two_machines_that_agree_and_two_that_do_not(zoo: Path, cluster: Cluster) -> None:
    """A CPU held to older instructions gives other bytes."""
    write_zoo(zoo, quick={"seeds": [1], "variants": {"net": variant("net")}})
    told = train_on(cluster, zoo, "--verify", "1", status=1)
    assert told.splitlines()[-1] == "zoo: --verify: the cluster has only one machine"
    old = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
    with other_node(cluster, **old):
        told = train_on(cluster, zoo, "--verify", "1", status=1)
        differ = r"^zoo: net-1: \S+ and \S+ disagree: models/net-1/model\.pt"
        assert re.search(differ, told, re.MULTILINE), told
        assert not (zoo / "zoo/models/net-1").exists()
        told = train_on(cluster, zoo, "--verify", "1", env=old)
        assert "\n1 of 1 runs done, 0 of them failed; running: none\n" in told
        assert "done on one machine only" not in told


def test_a_machine_with_another_version_is_refused(
    zoo: Path, cluster: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "torch-1.0.dist-info").mkdir()
    (tmp_path / "torch-1.0.dist-info" / "METADATA").write_text("Name: torch\nVersion: 1.0\n")
    with other_node(cluster, PYTHONPATH=str(tmp_path)):
        told = train_on(cluster, zoo, status=1)
    refused = r"^zoo: 127\.0\.0\.2 has torch 1\.0, this machine has \S+; install the same there"
    assert re.search(refused, told, re.MULTILINE), told
    assert not (zoo / "zoo/runs").exists()


def test_only_those_who_know_the_token_use_the_cluster(zoo: Path, cluster: Cluster) -> None:
    none = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(zoo / "nothing")}
    for variables in ({}, TOKEN | {"RAY_AUTH_TOKEN": 64 * "b"}, none):
        told = train(zoo, "--cluster", cluster.address, status=1, env=variables)
        refused = f"zoo: --cluster: {cluster.address}: this machine has no token, or not the"
        assert told.splitlines()[-1].startswith(refused)
        assert "Traceback" not in told
    assert not (zoo / "zoo/runs").exists()


def test_a_run_sees_a_gpu_only_if_it_asks_for_one(cluster: Cluster, tmp_path: Path) -> None:
    """By an empty list of GPUs, a program sees none. Without a list, it sees all."""
    copy_code(CODE, ROOT, tmp_path)
    code = f"""
import os, pathlib, ray, zoo.cluster
with zoo.cluster.connected({cluster.address!r}, pathlib.Path.cwd()):
    print(repr(ray.get(ray.remote(os.getenv).remote("CUDA_VISIBLE_DEVICES"))))
"""
    assert run("python", "-c", code, cwd=tmp_path, env=TOKEN).splitlines()[-1] == "''"


def test_what_came_back_before_the_head_was_killed_is_recorded(zoo: Path, cluster: Cluster) -> None:
    with training(zoo, cluster) as process:
        process.send_signal(signal.SIGKILL)
    kill(cluster.head)
    told = train_on(cluster, zoo, status=1)
    reason = f"{cluster.address}: Connection refused"
    assert told.splitlines() == ["1 of 4 runs are up to date", f"zoo: --cluster: {reason}"]
    # Ray looks in this folder for the address of a cluster that was started before.
    told = train(zoo, "--cluster", "auto", status=1, env={"RAY_TMPDIR": str(zoo)})
    reason = "auto: no cluster answers; `ray start --head` starts one"
    assert told.splitlines()[-1] == f"zoo: --cluster: {reason}"
