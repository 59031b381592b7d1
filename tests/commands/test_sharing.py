"""A trained network goes to another clone and to other projects, through a DVC remote."""

import contextlib
import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.conftest import stages_run
from tests.conftest import contents, run

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
OPEN = """\
import sys, dvc.api
with dvc.api.open("models/model.pt", repo=sys.argv[1], mode="rb") as file:
    print(len(file.read()))
"""


def cloned(source: Path, to: Path) -> Path:
    run("git", "clone", "--quiet", source, to, cwd=source)
    return to


@pytest.fixture(scope="module")
def origin(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a clone that has pushed its outputs to a folder, with a registered version."""
    folder = tmp_path_factory.mktemp("sharing")
    origin = cloned(clone, folder / "origin")
    run("dvc", "cache", "dir", "--local", clone / ".dvc/cache", cwd=origin)
    run("dvc", "remote", "add", "--default", "storage", folder / "storage", cwd=origin)
    assert "files pushed" in run("dvc", "push", cwd=origin)
    run("git", "commit", "--quiet", "--all", "--message=remote", cwd=origin)
    run("gto", "register", "cifar2-classifier", "--version", "v1.0.0", cwd=origin)
    run("dvc", "checkout", cwd=origin)
    return origin


def assert_pulled(origin: Path, fresh: Path, **env: str) -> None:
    run("dvc", "pull", cwd=fresh, env=env)
    assert stages_run(run("dvc", "repro", cwd=fresh)) == []
    assert contents(fresh / "models") == contents(origin / "models")


def test_fresh_clone_pulls_and_has_nothing_to_run(origin: Path, tmp_path: Path) -> None:
    fresh = cloned(origin, tmp_path / "fresh")
    assert_pulled(origin, fresh)
    assert run("git", "status", "--porcelain", cwd=fresh) == ""


def test_other_project_gets_the_model(origin: Path, tmp_path: Path) -> None:
    run("git", "init", "--quiet", cwd=tmp_path)
    run("dvc", "init", "--quiet", cwd=tmp_path)
    size = (origin / "models/model.pt").stat().st_size
    assert run("python", "-c", OPEN, origin, cwd=tmp_path) == f"{size}\n"
    for command in (
        "dvc get {} models",
        "dvc import {} models",
        "dvc artifacts get {} cifar2-classifier",
        "dvc artifacts get {} cifar2-classifier --rev v1.0.0",
    ):
        run(*command.format(origin).split(), cwd=tmp_path)
        assert contents(tmp_path / "models") == contents(origin / "models"), command
        shutil.rmtree(tmp_path / "models")
    run("dvc", "checkout", cwd=tmp_path)
    said = run("cifar2", "predict", origin / "plots/loss.png", cwd=tmp_path)
    assert "airplane" in said and "bird" in said


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[tuple[str, dict[str, str], Path]]:
    """Run a real `sshd` on loopback; give its address, an environment that knows it, and a key."""
    if SSHD is None:
        pytest.skip("there is no sshd on this machine")
    pytest.importorskip("dvc_ssh", reason="dvc-ssh is not installed (EXTRAS=ssh)")
    for name in ("host", "user"):
        key = tmp_path / name
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key, cwd=tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "home/.ssh").mkdir(parents=True)
    host_key = (tmp_path / "host.pub").read_text()
    (tmp_path / "home/.ssh/known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
    settings = tmp_path / "sshd_config"
    settings.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path / 'host'}\n"
        f"AuthorizedKeysFile {tmp_path / 'user.pub'}\nPidFile none\nStrictModes no\n"
        "UsePAM no\nSubsystem sftp internal-sftp\n"
    )
    with contextlib.suppress(PermissionError):  # only root's sshd needs it
        Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", settings], stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(100):
            with contextlib.suppress(ConnectionRefusedError), socket.socket() as client:
                client.connect(("127.0.0.1", port))
                break
            assert server.poll() is None, server.stderr and server.stderr.read()
            time.sleep(0.1)
        address = f"ssh://{getpass.getuser()}@127.0.0.1:{port}{tmp_path / 'storage'}"
        yield address, {"HOME": str(tmp_path / "home")}, tmp_path / "user"
    finally:
        server.terminate()
        server.communicate()


def test_remote_behind_ssh(
    ssh: tuple[str, dict[str, str], Path], origin: Path, tmp_path: Path
) -> None:
    address, env, key = ssh
    source = cloned(origin, tmp_path / "source")
    run("dvc", "pull", cwd=source)
    run("dvc", "remote", "add", "--default", "server", address, cwd=source)
    run("dvc", "remote", "modify", "--local", "server", "keyfile", key, cwd=source)
    assert "files pushed" in run("dvc", "push", cwd=source, env=env)
    run("git", "commit", "--quiet", "--all", "--message=server", cwd=source)
    fresh = cloned(source, tmp_path / "fresh")
    run("dvc", "remote", "modify", "--local", "server", "keyfile", key, cwd=fresh)
    assert_pulled(origin, fresh, **env)
