"""The zoo on a Ray cluster of two nodes on this machine: the same results, whatever dies."""

import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil
import pytest

from cifar2.errors import UserError
from tests.conftest import contents, environment, ray_alone, wait_for
from tests.zoo.conftest import locked, train, variant, write_zoo
from zoo.cluster import on_cluster

HEAD, OTHER = "127.0.0.1", "127.0.0.2"
BUSY = "ray::(other|res|try)-"  # how Ray names a process that does a run
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": 64 * "a"}
pytest.importorskip("ray", reason="it takes the extra `cluster`")
two_nodes = pytest.mark.skipif(
    sys.platform != "linux", reason="two nodes on one machine take Linux"
)


@contextmanager
def node(log: Path, *options: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a node of one core; kill it in the end."""
    words = ["ray", "start", "--block", "--num-cpus=1", "--disable-usage-stats", *options]
    env = environment(**TOKEN, **variables)
    with open(log, "wb") as file:
        process = subprocess.Popen(words, env=env, stdout=file, stderr=file, start_new_session=True)
    try:
        wait_for(lambda: "Ray runtime started" in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it started, at once."""
    if process.poll() is None:
        for each in [process, *psutil.Process(process.pid).children(recursive=True)]:
            each.kill()
        process.wait()


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Give the address of a cluster of one node, which wants a token."""
    with socket.socket() as unused:
        unused.bind((HEAD, 0))
        port = unused.getsockname()[1]
    options = ("--head", f"--port={port}", f"--node-ip-address={HEAD}", "--include-dashboard=false")
    # A short path, because the names of Ray's sockets have at most 107 characters.
    folder = tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True)
    with ray_alone(), folder as scratch:
        with node(Path(scratch) / "head.log", f"--temp-dir={scratch}", *options):
            yield f"{HEAD}:{port}"


def other_node(
    cluster: str, folder: Path, **variables: str
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    options = (f"--address={cluster}", f"--node-ip-address={OTHER}")
    return node(folder / "other.log", *options, **variables)


@contextmanager
def training(zoo: Path, cluster: str, until: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Train, and go on when this was printed; the file has what is printed."""
    words = [sys.executable, "-m", "zoo", "train", "--cluster", cluster]
    said = zoo / "said"
    with open(said, "wb") as file:
        env = environment(**TOKEN)
        process = subprocess.Popen(words, cwd=zoo, env=env, stdout=file, stderr=file)
    wait_for(lambda: until in said.read_text() or process.poll() is not None, 600)
    yield process, said
    process.wait(timeout=600)


@two_nodes
@pytest.mark.slow
def test_results_are_those_of_threads_although_the_command_and_a_node_die(
    zoo: Path, trained: Path, cluster: str, tmp_path: Path
) -> None:
    """The runs that had come back are kept; those of the node are done again."""
    for name in ("runs", "models", "cards"):
        shutil.rmtree(zoo / "zoo" / name)
    (zoo / "zoo" / "dvc.lock").unlink()
    with training(zoo, cluster, "\n1 of 4 runs done") as (process, _):
        process.kill()
    with other_node(cluster, tmp_path) as other, training(zoo, cluster, "1 of 4 runs are") as said:
        started = psutil.Process(other.pid)
        wait_for(lambda: re.search(BUSY, str([p.cmdline() for p in started.children(True)])))
        kill(other)
    assert said[0].returncode == 0
    assert "\n4 of 4 runs done, 0 of them failed; running: none\n" in said[1].read_text()
    for name in ("runs", "models", "cards"):
        assert contents(zoo / "zoo" / name) == contents(trained / "zoo" / name)
    assert locked(zoo) == locked(trained)
    assert train(zoo) == "4 of 4 runs are up to date\n"


@two_nodes
@pytest.mark.slow
def test_errors_are_named(zoo: Path, cluster: str, tmp_path: Path) -> None:
    """A machine with other versions, another token, and a run that fails; the others go on."""
    wild = variant("netdepth", train={"lr": 1e9})
    variants = {"wild": wild, "tame": variant("net")}
    write_zoo(zoo, quick={"seeds": [1], "variants": variants})
    (tmp_path / "torch-1.0.dist-info").mkdir()
    (tmp_path / "torch-1.0.dist-info" / "METADATA").write_text("Name: torch\nVersion: 1.0\n")
    with other_node(cluster, tmp_path, PYTHONPATH=str(tmp_path)):
        said = train(zoo, "--cluster", cluster, status=1, env=TOKEN)
    assert re.search(r"^zoo: 127\.0\.0\.2 has Python \S+, torch 1\.0, .*; install", said, re.M), (
        said
    )
    said = train(zoo, "--cluster", cluster, status=1, env=TOKEN | {"RAY_AUTH_TOKEN": 64 * "b"})
    refused = f"^zoo: --cluster: {cluster}: Failed to connect to Ray cluster at .*; see docs/"
    assert re.search(refused, said, re.M) and "Authentication token is missing" in said, said
    said = train(zoo, "--cluster", cluster, status=1, env=TOKEN)
    assert "\n2 of 2 runs done, 1 of them failed; running: none\n" in said
    assert re.search(r"^zoo: wild-1: train: train\.lr: at 1e\+09 .* \(log: .*\)$", said, re.M), said
    assert (zoo / "zoo/models/tame-1").exists() and not (zoo / "zoo/models/wild-1").exists()


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("127.0.0.1:1", "Connection refused; see docs/cluster.md"),
        ("auto", "Could not find any running Ray instance; see docs/cluster.md"),
        ("here", "Invalid address format: here; see docs/cluster.md"),
    ],
)
def test_an_absent_cluster(
    address: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))  # where Ray looks for a cluster
    with pytest.raises(UserError, match=f"^--cluster: {address}: .*{reason}$"):
        next(on_cluster(address)([], tmp_path, tmp_path))


def test_ray_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match="^Ray is not installed: pip install"):
        on_cluster("auto")
