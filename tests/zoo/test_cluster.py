"""The zoo on a Ray cluster of two nodes on this machine: the same results, whatever dies."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.conftest import contents, copy_clone, environment, ray_alone, wait_for
from tests.zoo.conftest import RUNS, locked_runs, train, variant, write_zoo
from zoo.cluster import connected

pytest.importorskip("ray", reason="it takes the extra `cluster`")
if sys.platform != "linux":
    pytest.skip("two nodes on one machine take Linux", allow_module_level=True)
pytestmark = pytest.mark.slow

HEAD, OTHER = "127.0.0.1", "127.0.0.2"


class Cluster:
    """Two nodes of Ray with one core each. `ray start --block` is the parent of a node."""

    def __init__(self, scratch: str, **variables: str) -> None:
        with socket.socket() as unused:
            unused.bind((HEAD, 0))
            port = unused.getsockname()[1]
        self.address = f"{HEAD}:{port}"
        self._scratch = scratch
        self.head = self._start(
            "--head", f"--port={port}", f"--node-ip-address={HEAD}", "--include-dashboard=false",
            f"--temp-dir={scratch}", **variables,
        )  # fmt: skip
        self.other: subprocess.Popen[bytes] | None = None

    def start_other(self, **variables: str) -> None:
        self.other = self._start(
            f"--address={self.address}", f"--node-ip-address={OTHER}", **variables
        )

    def _start(self, *options: str, **variables: str) -> subprocess.Popen[bytes]:
        log = Path(self._scratch) / f"{len(options)}.log"
        with open(log, "wb") as file:
            process = subprocess.Popen(
                ["ray", "start", "--block", "--num-cpus=1", "--disable-usage-stats", *options],
                env=environment(**variables), stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip
        wait_for(lambda: "Ray runtime started" in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        return process

    @staticmethod
    def stop(node: subprocess.Popen[bytes]) -> None:
        """Let a node sign off from the cluster."""
        node.terminate()
        node.wait(60)

    @staticmethod
    def kill(node: subprocess.Popen[bytes]) -> None:
        """Kill all processes of a node at once."""
        family = [psutil.Process(node.pid), *psutil.Process(node.pid).children(recursive=True)]
        for process in family:
            process.kill()
        node.wait()


@contextmanager
def started(**variables: str) -> Iterator[Cluster]:
    """Start a cluster of one node with these environment variables; stop it at the end."""
    # A short path, because the names of Ray's sockets have at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as scratch:
        both = Cluster(scratch, **variables)
        try:
            yield both
        finally:
            for node in (both.other, both.head):
                if node and node.poll() is None:
                    Cluster.kill(node)


@pytest.fixture(scope="module", autouse=True)
def alone() -> Iterator[None]:
    with ray_alone():
        yield


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with started() as both:
        yield both


@pytest.fixture
def zoo(untrained: Path, tmp_path: Path) -> Path:
    """Give a copy of the clone in which no run was done."""
    return copy_clone(untrained, tmp_path / "copy")


def one_variant(clone: Path, **changes: object) -> None:
    variants = {"net": variant("net", **changes)}
    write_zoo(clone, quick={"seeds": [1, 2], "variants": variants})


@contextmanager
def training(clone: Path, cluster: Cluster) -> Iterator[subprocess.Popen[bytes]]:
    """Train, and go on when the first run has come back."""
    words = [sys.executable, "-m", "zoo", "train", "--cluster", cluster.address]
    with open(clone / "said", "wb") as file:
        process = subprocess.Popen(words, cwd=clone, env=environment(), stdout=file, stderr=file)
    wait_for(lambda: "\n1 of " in said(clone) or process.poll() is not None, 600)
    assert process.poll() is None, said(clone)
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


def test_auto_without_a_cluster_is_one_line(zoo: Path) -> None:
    # Ray looks in this folder for the address of a cluster that was started before.
    told = train(zoo, "--cluster", "auto", status=1, env={"RAY_TMPDIR": str(zoo)})
    reason = "no cluster answers; `ray start --head` starts one"
    assert told.splitlines()[-1] == f"zoo: --cluster: auto: {reason}"


def test_a_run_sees_a_gpu_only_if_it_asks_for_one(
    cluster: Cluster, zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an empty list of GPUs, a program sees none. Without a list, it sees all."""
    import ray

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with connected(cluster.address, zoo):
        assert ray.get(ray.remote(os.getenv).remote("CUDA_VISIBLE_DEVICES")) == ""


def test_results_are_those_of_threads_although_a_process_and_a_node_die(
    zoo: Path, trained: Path, cluster: Cluster
) -> None:
    cluster.start_other()
    with training(zoo, cluster):
        wait_for(workers)  # each may be between two runs
        workers()[0].kill()
        wait_for(lambda: len(workers()) == 2)
        assert cluster.other and "\n5 of " not in said(zoo)
        Cluster.kill(cluster.other)
    assert "\n5 of 5 runs done, 0 of them failed; running: none\n" in said(zoo)
    for name in ("runs", "models", "cards"):
        assert contents(zoo / "zoo" / name) == contents(trained / "zoo" / name)
    assert locked_runs(zoo) == locked_runs(trained)
    logs = list((zoo / "zoo/.dvc/tmp/zoo").glob("*.log"))
    assert len(logs) == 5
    assert all(re.match(r"On \d+\.\d+\.", log.read_text()) for log in logs)
    assert train(zoo) == "5 of 5 runs are up to date\n"


def test_what_fails_is_named_and_former_results_stay(
    trained: Path, tmp_path: Path, cluster: Cluster
) -> None:
    """By its learning rate, or because no machine can take it; the others go on."""
    zoo = copy_clone(trained, tmp_path / "copy")
    before = contents(zoo / "zoo/runs")
    variants = {
        "baseline": variant("netdepth", train={"lr": 1e9}),
        "res": variant("netres", train={"threads": 64}),
        "tame": variant("net"),
    }
    write_zoo(zoo, quick={"seeds": [1], "variants": variants})
    told = train(zoo, "--cluster", cluster.address, status=1)
    assert "\n3 of 3 runs done, 2 of them failed; running: none\n" in told
    assert re.search(r"^zoo: baseline-1: train: train\.lr: at 1e\+09 the loss", told, re.MULTILINE)
    assert "\nzoo: res-1: it takes 64 cores, and no machine of the cluster has that\n" in told
    after = contents(zoo / "zoo/runs")
    assert {name: after[name] for name in before} == before
    assert {name.partition("/")[0] for name in after.keys() - before.keys()} == {"tame-1"}
    assert list(json.loads((zoo / "zoo/results.json").read_text())) == ["tame"]


def test_two_machines_that_agree_and_two_that_do_not(zoo: Path, cluster: Cluster) -> None:
    """A CPU held to older instructions gives other bytes."""
    one_variant(zoo)
    options = ("--cluster", cluster.address, "--verify", "2")
    told = train(zoo, *options, status=1)
    assert told.splitlines()[-1] == "zoo: --verify: the cluster has only one machine"
    old = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
    cluster.start_other(**old)
    assert cluster.other
    told = train(zoo, *options, status=1)
    for seed in (1, 2):
        differ = rf"^zoo: net-{seed}: \S+ and \S+ disagree: models/net-{seed}/model\.pt"
        assert re.search(differ, told, re.MULTILINE), told
    assert not (zoo / "zoo/models/net-1").exists()
    told = train(zoo, *options, env=old)
    assert "\n2 of 2 runs done, 0 of them failed; running: none\n" in told
    Cluster.stop(cluster.other)


def test_a_machine_with_another_version_is_refused(
    zoo: Path, cluster: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "torch-1.0.dist-info").mkdir()
    (tmp_path / "torch-1.0.dist-info" / "METADATA").write_text("Name: torch\nVersion: 1.0\n")
    cluster.start_other(PYTHONPATH=str(tmp_path))
    assert cluster.other
    told = train(zoo, "--cluster", cluster.address, status=1)
    refused = r"^zoo: 127\.0\.0\.2 has torch 1\.0, this machine has \S+; install the same there"
    assert re.search(refused, told, re.MULTILINE), told
    assert not (zoo / "zoo/runs").exists()
    Cluster.stop(cluster.other)


def test_what_came_back_before_the_head_was_killed_is_recorded(zoo: Path, cluster: Cluster) -> None:
    with training(zoo, cluster) as process:
        process.send_signal(signal.SIGKILL)
    Cluster.kill(cluster.head)
    told = train(zoo, "--cluster", cluster.address, status=1)
    reason = f"{cluster.address}: Connection refused"
    assert told.splitlines() == ["1 of 5 runs are up to date", f"zoo: --cluster: {reason}"]
    told = train(zoo, "--cluster", "head", status=1)
    assert told.splitlines()[-1] == "zoo: --cluster: 'head': it is HOST:PORT, or auto"


def test_only_those_who_know_the_token_use_the_cluster(zoo: Path) -> None:
    one_variant(zoo)
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": 64 * "a"}
    with started(**token) as cluster:
        other, none = token | {"RAY_AUTH_TOKEN": 64 * "b"}, {"RAY_AUTH_MODE": "token"}
        for variables in ({}, other, none | {"RAY_AUTH_TOKEN_PATH": str(zoo / "nothing")}):
            told = train(zoo, "--cluster", cluster.address, status=1, env=variables)
            refused = f"zoo: --cluster: {cluster.address}: this machine has no token, or not the"
            assert told.splitlines()[-1].startswith(refused)
            assert "Traceback" not in told
        assert not (zoo / "zoo/runs").exists()
        told = train(zoo, "--cluster", cluster.address, env=token)
    assert "\n2 of 2 runs done, 0 of them failed; running: none\n" in told
