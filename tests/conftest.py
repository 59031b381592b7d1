"""How tests run commands: in an empty folder, beside finished results, or in a clone."""

import contextlib
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import yaml
from filelock import FileLock

ROOT = Path(__file__).parent.parent
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
# The commands are those of the environment that runs the tests, activated or not.
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
needs_zoo = pytest.mark.skipif(not (ROOT / "zoo").exists(), reason="the zoo was removed")
GIT_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Test"), ("EMAIL", "test@example.com"))
}


def environment(**changes: str) -> dict[str, str]:
    """Return the environment that commands run in."""
    usual = {"PATH": PATH, "CIFAR10_URL": "", "COLUMNS": "200"}
    usual["RAY_AUTH_MODE"] = "disabled"  # not "token", as where the user's home has a token
    return os.environ | GIT_IDENTITY | usual | changes


def run(
    *command: str | Path,
    cwd: Path,
    status: int = 0,
    env: dict[str, str] | None = None,
    timeout: float = 600,
) -> str:
    """Run a command; return what it printed, stdout and stderr; check its exit status.

    The command prints into a file. With a pipe, this would also wait for the processes that the
    command leaves in the background.
    """
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=cwd,
            env=environment(**(env or {})),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=timeout,
        )
        output.seek(0)
        said = io.TextIOWrapper(output).read()
    assert done.returncode == status, said
    return said


def wait_for(condition: Callable[[], object], seconds: float = 120) -> None:
    """Wait until a condition holds; fail if it does not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_for_queue(clone: Path) -> str:
    """Wait until all queued experiments and their workers have ended; return DVC's list of both.

    DVC has a file of its workers, and tells those in it to end ten seconds after the last
    experiment. Two that start in the same millisecond may overwrite each other's entry. The one
    that lost its entry would wait forever, so it is killed.
    """
    for _ in range(300):
        status = run("dvc", "queue", "status", cwd=clone)
        if not re.search("Queued|Running", status):
            break
        time.sleep(1)
    else:
        raise AssertionError(f"an experiment doesn't end:\n{status}")
    workers = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # it may have ended meanwhile
            if "queue-worker" in process.cmdline() and clone.samefile(process.cwd()):
                workers.append(process)
    for process in psutil.wait_procs(workers, timeout=30)[1]:
        process.kill()
    return status


def words(stage: str) -> list[str]:
    """Return the command that dvc.yaml has for a stage, for any working folder."""
    python, stages, *options = shlex.split(STAGES[stage]["cmd"])
    assert (python, stages) == ("python", "stages")
    return [sys.executable, str(ROOT / stages), *options]


def write(path: Path, **changes: Any) -> Path:
    """Write the project's params.yaml with some keys changed: {"train__lr": 3} is train.lr."""
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    for key, value in changes.items():
        group, name = key.split("__")
        settings[group][name] = value
    path.write_text(yaml.safe_dump(settings))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files in a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def edit(path: Path, before: str, after: str) -> None:
    """Replace a text in a file, which must be there."""
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")


def copy_project(to: Path) -> Path:
    """Copy the files that Git tracks, or would, as they are now; commit them in a repository.

    The copy trains one epoch on a stand-in of 100 train and 50 val images a class.
    """
    for name in run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).splitlines():
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # deleted, or removed by a stage that runs
            shutil.copy(ROOT / name, to / name)
    drawing = to / "src" / "cifar2" / "data" / "synthetic.py"
    if "source: synthetic" not in (to / "params.yaml").read_text():  # else it copies such a copy
        edit(drawing, "VAL_PER_CLASS = 5_000, 1_000", "VAL_PER_CLASS = 100, 50")
        edit(to / "params.yaml", "epochs: 100", "epochs: 1")
        edit(to / "params.yaml", "source: auto", "source: synthetic")
    run("git", "init", "--quiet", "--initial-branch=main", cwd=to)
    run("git", "add", "--all", cwd=to)
    run("git", "commit", "--quiet", "--message=copy", cwd=to)
    return to


def copy_clone(clone: Path, to: Path) -> Path:
    """Copy a clone, with links to the files of DVC's caches: they are large, and never change."""
    cache = str(Path(".dvc", "cache"))

    def copy(source: str, target: str) -> None:
        (os.link if cache in source else shutil.copy2)(source, target)

    return shutil.copytree(clone, to, symlinks=True, copy_function=copy)


def ray_alone() -> FileLock:
    """Return a lock for who uses Ray: `ray stop` stops all of Ray on this machine."""
    return FileLock(Path(tempfile.gettempdir()) / "cifar2-tests-ray.lock")


@pytest.fixture(scope="session", autouse=True)
def default_signals() -> None:
    """Let signals stop the stages also where nohup, or a shell in the background, runs the tests.

    Otherwise the tests would inherit that these signals are ignored, and the stages from them.
    """
    for number in signal.Signals:
        if number.name in ("SIGINT", "SIGHUP") and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    """Let a test draw the same random numbers each time, so that none fails by chance."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the project that was run and committed; each worker has one of its own."""
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    first, done = shared / "first-clone", shared / "first-clone-is-done"
    with FileLock(shared / "first-clone.lock"):
        if not done.exists():
            copy_project(first)
            run("dvc", "repro", cwd=first)
            run("git", "add", "--all", cwd=first)
            run("git", "commit", "--quiet", "--message=run", cwd=first)
            done.touch()
    return copy_clone(first, tmp_path_factory.mktemp("clone") / "clone")


@pytest.fixture(scope="session")
def finished(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the settings and outputs of the clone's run, for stages without DVC."""
    path = tmp_path_factory.mktemp("finished")
    for name in ("data", "models", "metrics", "plots"):
        shutil.copytree(clone / name, path / name)
    shutil.copy(clone / "params.yaml", path)
    return path


@pytest.fixture
def tidy(clone: Path) -> Iterator[Path]:
    """Give the clone as it was committed, and restore it afterwards."""
    yield clone
    run("git", "reset", "--quiet", "--hard", cwd=clone)
    run("dvc", "checkout", "--force", cwd=clone)
    assert run("git", "status", "--porcelain", cwd=clone) == ""
