"""The zoo on a Ray cluster of two nodes on this machine: the same results, whatever dies."""

import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from cifar2.errors import UserError
from tests.conftest import contents, environment, ray_alone, wait_for
from tests.zoo.conftest import locked, train, variant, write_zoo
from zoo.cluster import on_cluster

pytest.importorskip("ray", reason="it takes the extra `cluster`")
if sys.platform != "linux":
    pytest.skip("two nodes on one machine take Linux", allow_module_level=True)

TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": 64 * "a"}
OTHER = "--node-ip-address=127.0.0.2"


def start(words: list[str], log: Path, until: str, **variables: str) -> psutil.Popen:
    """Start a command, and wait until it has printed a text."""
    with open(log, "wb") as file:
        env = environment(**TOKEN, **variables)
        process = psutil.Popen(words, cwd=log.parent, env=env, stdout=file, stderr=file)
    wait_for(lambda: until in log.read_text() or process.poll() is not None, 600)
    assert until in log.read_text()
    return process


@contextmanager
def node(folder: Path, *options: str, **variables: str) -> Iterator[psutil.Popen]:
    """Start a node of one core; kill it in the end."""
    words = ["ray", "start", "--block", "--num-cpus=1", "--disable-usage-stats", *options]
    process = start(words, folder / "node.log", "Ray runtime started", **variables)
    try:
        yield process
    finally:
        kill(process)


def kill(process: psutil.Popen) -> None:
    """Kill a process and all that it started, at once."""
    if process.poll() is None:
        for each in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):  # without its parent, it may have ended
                each.kill()
        process.wait()


def workers() -> int:
    """Return how many processes do a run; Ray gives them its name."""
    found = [process.info for process in psutil.process_iter(["cmdline"])]
    return len(re.findall(r"'ray::\w+-\d", str(found)))


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Give the address of a cluster of one node, which wants a token."""
    words = ("--head", "--port=6399", "--node-ip-address=127.0.0.1", "--include-dashboard=false")
    # A short path, because the names of Ray's sockets have at most 107 characters.
    folder = tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True)
    with ray_alone(), folder as scratch, node(Path(scratch), f"--temp-dir={scratch}", *words):
        yield "127.0.0.1:6399"


@pytest.mark.slow
def test_results_are_those_of_threads_although_the_command_and_a_node_die(
    zoo: Path, trained: Path, cluster: str, tmp_path: Path
) -> None:
    """The runs that had come back are kept; those of the node are done again."""
    for name in ("runs", "models", "cards"):
        shutil.rmtree(zoo / "zoo" / name)
    (zoo / "zoo" / "dvc.lock").unlink()
    command = [sys.executable, "-m", "zoo", "train", "--cluster", cluster]
    kill(start(command, zoo / "said", "\n1 of 4 runs done"))
    with node(tmp_path, f"--address={cluster}", OTHER) as other:
        again = start(command, zoo / "said", "1 of 4 runs are up to date\n")
        wait_for(lambda: workers() == 2)
        kill(other)
        assert again.wait(600) == 0
    assert "\n4 of 4 runs done, 0 of them failed; running: none\n" in (zoo / "said").read_text()
    for name in ("runs", "models", "cards"):
        assert contents(zoo / "zoo" / name) == contents(trained / "zoo" / name)
    assert locked(zoo) == locked(trained)


@pytest.mark.slow
def test_errors_are_named(zoo: Path, cluster: str, tmp_path: Path) -> None:
    """A run that fails, while the other goes on, and a machine with other versions."""
    variants = {"wild": variant("netdepth", train={"lr": 1e9}), "tame": variant("net")}
    write_zoo(zoo, quick={"seeds": [1], "variants": variants})
    said = train(zoo, "--cluster", cluster, status=1, env=TOKEN)
    assert "\n2 of 2 runs done, 1 of them failed; running: none\n" in said
    assert re.search(r"^zoo: wild-1: train: train\.lr: at 1e\+09 .* \(log: .*\)$", said, re.M), said
    assert (zoo / "zoo/models/tame-1").exists() and not (zoo / "zoo/models/wild-1").exists()
    (tmp_path / "torch-1.0.dist-info").mkdir()
    (tmp_path / "torch-1.0.dist-info" / "METADATA").write_text("Name: torch\nVersion: 1.0\n")
    with node(tmp_path, f"--address={cluster}", OTHER, PYTHONPATH=str(tmp_path)):
        said = train(zoo, "--cluster", cluster, status=1, env=TOKEN)
    assert re.search(r"^zoo: 127\.0\.0\.2 has Python \S+, torch 1\.0, .*; install", said, re.M), (
        said
    )


def test_what_is_absent_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("127.0.0.1:1", "here"):
        with pytest.raises(UserError, match=f"^--cluster: {address}: .*; see docs/cluster.md$"):
            next(on_cluster(address)([], tmp_path, tmp_path))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"^Ray is not installed: pip install"):
        on_cluster("auto")
