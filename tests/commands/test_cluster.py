"""The zoo on a Ray cluster of two nodes on this machine: the same results, whatever dies."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.commands.test_zoo import commit, locked_runs, short_copy, write_zoo
from tests.conftest import ROOT, contents, copy_clone, environment, ray_alone, run, wait_for
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
    with (
        ray_alone(),
        tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as scratch,
    ):
        both = Cluster(scratch, **variables)
        try:
            yield both
        finally:
            for node in (both.other, both.head):
                if node and node.poll() is None:
                    Cluster.kill(node)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with started() as both:
        yield both


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a clone with a zoo of 8 short runs, of which none was done."""
    clone = short_copy(tmp_path_factory.mktemp("untrained"))
    names = {"net": "net", "res": "netres", "depth": "netdepth", "width": "netwidth"}
    variants = {variant: {"model": {"name": model}} for variant, model in names.items()}
    write_zoo(clone, quick={"seeds": [1, 2], "variants": variants})
    run("dvc", "repro", cwd=clone)
    commit(clone)
    return clone


@pytest.fixture(scope="module")
def by_threads(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy in which threads of this machine did all runs."""
    clone = copy_clone(untrained, tmp_path_factory.mktemp("threads") / "copy")
    run("python", "-m", "zoo", "train", "--jobs", "2", cwd=clone)
    return clone


@pytest.fixture
def zoo(untrained: Path, tmp_path: Path) -> Path:
    """Give a copy in which no run was done."""
    return copy_clone(untrained, tmp_path / "copy")


def keep_runs(clone: Path, *names: str) -> None:
    """Leave only these variants."""
    settings = yaml.safe_load((clone / "zoo" / "params.yaml").read_text())
    variants = {name: settings["quick"]["variants"][name] for name in names}
    write_zoo(clone, quick={"seeds": [1, 2], "variants": variants})


def command(cluster: Cluster, *options: str) -> list[str]:
    return [sys.executable, "-m", "zoo", "train", "--cluster", cluster.address, *options]


@contextmanager
def training(clone: Path, cluster: Cluster) -> Iterator[subprocess.Popen[bytes]]:
    """Train, and go on when the first two runs have come back."""
    with open(clone / "said", "wb") as file:
        process = subprocess.Popen(
            command(cluster), cwd=clone, env=environment(), stdout=file, stderr=file
        )
    wait_for(lambda: "\n2 of " in said(clone) or process.poll() is not None, 600)
    assert process.poll() is None, said(clone)
    yield process
    process.wait(timeout=600)


def said(clone: Path) -> str:
    return (clone / "said").read_text()


def results(clone: Path) -> dict[str, Any]:
    """Return all that the zoo has of its runs."""
    files = {name: contents(clone / "zoo" / name) for name in ("runs", "models", "cards")}
    return files | {"lock": locked_runs(clone), "pairs": (clone / "zoo/pairs.csv").read_bytes()}


def workers() -> list[psutil.Process]:
    """Return the processes that do a run; Ray gives them its name."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it may have ended meanwhile
            if re.match(r"ray::(net|res|depth|width)-\d", " ".join(process.cmdline())):
                found.append(process)
    return found


def test_results_are_those_of_threads_although_a_process_and_a_node_die(
    zoo: Path, by_threads: Path, cluster: Cluster
) -> None:
    cluster.start_other()
    with training(zoo, cluster):
        wait_for(workers)  # each may be between two runs
        workers()[0].kill()
        time.sleep(5)
        assert cluster.other and "\n8 of " not in said(zoo)
        Cluster.kill(cluster.other)
    assert "\n8 of 8 runs done, 0 of them failed; running: none\n" in said(zoo)
    assert results(zoo) == results(by_threads)
    logs = list((zoo / "zoo/.dvc/tmp/zoo").glob("*.log"))
    places = {log.read_text().partition("\n")[0] for log in logs}
    assert len(logs) == 8
    assert len(places) == 2, places
    told = run("python", "-m", "zoo", "train", cwd=zoo)
    assert told.startswith("8 of 8 runs are up to date\n")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_what_came_back_before_the_head_stopped_is_recorded(
    how: signal.Signals, zoo: Path, cluster: Cluster
) -> None:
    keep_runs(zoo, "net", "res")
    with training(zoo, cluster) as process:
        process.send_signal(how)
    if how == signal.SIGINT:
        assert said(zoo).splitlines()[-1] == "zoo: stopped; the same command continues from there"
        assert process.returncode == 128 + signal.SIGINT
    told = run(*command(cluster), cwd=zoo)
    before = re.search(r"^(\d) of 4 runs are up to date$", told, re.MULTILINE)
    assert before and int(before[1]) >= 2
    assert "\n4 of 4 runs done, 0 of them failed; running: none\n" in told


def test_two_machines_that_agree_and_two_that_do_not(zoo: Path, cluster: Cluster) -> None:
    """A CPU held to older instructions gives other bytes."""
    keep_runs(zoo, "net")
    old = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
    cluster.start_other(**old)
    told = run(*command(cluster, "--verify", "2"), cwd=zoo, status=1)
    for seed in (1, 2):
        differ = rf"^zoo: net-{seed}: \S+ and \S+ disagree: models/net-{seed}/model\.pt, runs"
        assert re.search(differ, told, re.MULTILINE), told
    assert not (zoo / "zoo/models/net-1").exists()
    told = run(*command(cluster, "--verify", "2"), cwd=zoo, env=old)
    assert "\n2 of 2 runs done, 0 of them failed; running: none\n" in told


def test_a_run_sees_a_gpu_only_if_it_asks_for_one(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an empty list of GPUs, a program sees none. Without a list, it sees all."""
    import ray

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    (tmp_path / "zoo").mkdir()
    shutil.copy(ROOT / "zoo" / "work.py", tmp_path / "zoo")
    with connected(cluster.address, tmp_path):
        assert ray.get(ray.remote(os.getenv).remote("CUDA_VISIBLE_DEVICES")) == ""


def test_a_machine_with_another_version_is_refused(
    zoo: Path, cluster: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "torch-1.0.dist-info").mkdir()
    (tmp_path / "torch-1.0.dist-info" / "METADATA").write_text("Name: torch\nVersion: 1.0\n")
    cluster.start_other(PYTHONPATH=str(tmp_path))
    told = run(*command(cluster), cwd=zoo, status=1)
    refused = r"^zoo: 127\.0\.0\.2 has torch 1\.0, this machine has \S+; install the same there"
    assert re.search(refused, told, re.MULTILINE), told
    assert not (zoo / "zoo/runs").exists()


def test_errors_are_one_line(zoo: Path, cluster: Cluster) -> None:
    told = run(*command(cluster, "--verify", "1"), cwd=zoo, status=1)
    assert told.splitlines()[-1] == "zoo: --verify: the cluster has only one machine"
    Cluster.kill(cluster.head)
    for address, reason in (
        (cluster.address, f"{cluster.address}: Connection refused"),
        ("head", "'head': it is HOST:PORT, or auto"),
        ("auto", "auto: no cluster answers; `ray start --head` starts one"),
    ):
        words = ["python", "-m", "zoo", "train", "--cluster", address]
        # Ray looks there for the address of a cluster that was started before.
        told = run(*words, cwd=zoo, status=1, env={"RAY_TMPDIR": str(zoo)})
        assert told.splitlines()[-1] == f"zoo: --cluster: {reason}"


def test_only_those_who_know_the_token_use_the_cluster(zoo: Path) -> None:
    keep_runs(zoo, "net")
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": 64 * "a"}
    with started(**token) as cluster:
        cluster.start_other(**token)
        other, none = token | {"RAY_AUTH_TOKEN": 64 * "b"}, {"RAY_AUTH_MODE": "token"}
        for variables in ({}, other, none | {"RAY_AUTH_TOKEN_PATH": str(zoo / "nothing")}):
            told = run(*command(cluster), cwd=zoo, status=1, env=variables)
            refused = f"zoo: --cluster: {cluster.address}: this machine has no token, or not the"
            assert told.splitlines()[-1].startswith(refused)
            assert "Traceback" not in told
        assert not (zoo / "zoo/runs").exists()
        told = run(*command(cluster), cwd=zoo, env=token)
    assert "\n2 of 2 runs done, 0 of them failed; running: none\n" in told


def test_a_run_that_fails_is_named_and_the_others_go_on(zoo: Path, cluster: Cluster) -> None:
    variants = {
        "wild": {"model": {"name": "netdepth"}, "train": {"lr": 1e9}},
        "tame": {"model": {"name": "net"}},
    }
    write_zoo(zoo, quick={"seeds": [1], "variants": variants})
    told = run(*command(cluster), cwd=zoo, status=1)
    assert "\n2 of 2 runs done, 1 of them failed; running: none\n" in told
    assert re.search(r"^zoo: wild-1: train: train\.lr: at 1e\+09 the loss", told, re.MULTILINE)
    assert [path.name for path in (zoo / "zoo/runs").iterdir()] == ["tame-1"]
