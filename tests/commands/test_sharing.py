"""A trained network goes to another clone and to other projects, through a DVC remote."""

import getpass
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.conftest import stages_run
from tests.conftest import contents, run

SSH_SERVER = """\
import asyncio, asyncssh

async def serve():
    options = {"server_host_keys": ["host"], "authorized_client_keys": "user.pub"}
    server = await asyncssh.listen("127.0.0.1", 0, sftp_factory=True, **options)
    print(server.get_port(), flush=True)
    await server.wait_closed()

asyncio.run(serve())
"""
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
    """Run an SSH server on loopback; give its address, an environment that knows it, and a key."""
    pytest.importorskip("dvc_ssh", reason="it takes the extra `ssh`")
    import asyncssh  # DVC itself brings it

    for name in ("host", "user"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(tmp_path / name)
        key.write_public_key(tmp_path / f"{name}.pub")
    command = [sys.executable, "-c", SSH_SERVER]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        port = server.stdout.readline().strip()
        (tmp_path / "home/.ssh").mkdir(parents=True)
        host_key = (tmp_path / "host.pub").read_text()
        (tmp_path / "home/.ssh/known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
        address = f"ssh://{getpass.getuser()}@127.0.0.1:{port}{tmp_path / 'storage'}"
        yield address, {"HOME": str(tmp_path / "home")}, tmp_path / "user"
        server.terminate()


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
