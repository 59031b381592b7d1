"""Kills, signals and full disks: an output is whole, or it is not there, and nothing is lost."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import ROOT, contents, environment, wait_for, words, write
from tests.stages.conftest import main, tiny_data

if sys.platform == "win32":
    pytest.skip("a process can't send these signals there", allow_module_level=True)

EPOCHS = 40
# The real stage, but it takes SLOW seconds longer for each file that it writes, between the file's
# last byte and its renaming. A training writes a snapshot after every epoch.
SLOWLY = f"""
import os, sys, time
sys.path[:0] = {[str(ROOT / folder) for folder in ("stages", "src")]}
import _stage
from cifar2.data import synthetic
synthetic.TRAIN_PER_CLASS, synthetic.VAL_PER_CLASS = 100, 50
if sys.argv[1] == "train":
    from cifar2 import snapshot
    snapshot.INTERVAL = 0
fsync = os.fsync
os.fsync = lambda file: (fsync(file), time.sleep(float(os.environ["SLOW"])))
_stage.run(sys.argv[1:])
"""


OUTPUTS = {"download": ["data/raw"], "train": ["models", "plots"]}


def outputs(stage: str, folder: Path) -> dict[str, bytes]:
    """Return the outputs of a stage that are there, with their contents."""
    files = contents(folder).items()
    made = tuple(f"{place}/" for place in OUTPUTS[stage])
    return {name: content for name, content in files if name.startswith(made)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder in which undisturbed stages have left their outputs."""
    path = tmp_path_factory.mktemp("undisturbed")
    # This network draws random numbers in training, and has running statistics.
    settings = {"model__name": "net1", "train__epochs": EPOCHS, "train__threads": 1}
    write(path / "params.yaml", data__source="synthetic", **settings)
    tiny_data(path / "data/cifar2")
    assert start("download", path).wait(timeout=120) == 0
    main("train", path)
    return path


def begin(undisturbed: Path, folder: Path) -> Path:
    """Copy the settings and the data of the undisturbed training."""
    shutil.copytree(undisturbed / "data/cifar2", folder / "data/cifar2")
    shutil.copy(undisturbed / "params.yaml", folder)
    return folder


def start(
    stage: str, folder: Path, *prefix: str, slow: float = 0, **env: str
) -> subprocess.Popen[bytes]:
    """Run a stage in a process, which prints into the file `said` in the folder."""
    command = [*prefix, sys.executable, "-c", SLOWLY, *words(stage)[2:]]
    with open(folder / "said", "wb") as said:
        env = environment(SLOW=str(slow), **env)
        return subprocess.Popen(command, cwd=folder, env=env, stdout=said, stderr=said)


def kill(process: subprocess.Popen[bytes], when: Callable[[], object]) -> None:
    wait_for(when)
    process.kill()
    assert process.wait() == -signal.SIGKILL


def said(folder: Path) -> str:
    return (folder / "said").read_text()


@contextlib.contextmanager
def small_disk(at: Path, kibibytes: int) -> Iterator[None]:
    """Mount a small file system at a folder, with the folder's contents; unmount it at the end."""
    aside = at.with_name("aside")
    shutil.copytree(at, aside)
    command = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(at)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small file system takes root")
    try:
        shutil.copytree(aside, at, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", str(at)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "disk", "kibibytes", "full"),
    [
        ("download", "data", 700, "data/.raw.part/synthetic.npz"),
        ("train", "models", 8, "models/model.pt"),
    ],
)
def test_full_disk_is_one_line_and_leaves_no_partial_output(
    stage: str, disk: str, kibibytes: int, full: str, undisturbed: Path, tmp_path: Path
) -> None:
    folder, whole = begin(undisturbed, tmp_path), outputs(stage, undisturbed)
    (folder / disk).mkdir(exist_ok=True)
    with small_disk(folder / disk, kibibytes):
        assert start(stage, folder).wait(timeout=120) == 2
        assert outputs(stage, folder).items() <= whole.items()
    assert said(folder).splitlines()[-1] == f"{stage}: {full}: No space left on device"
    assert "Traceback" not in said(folder)
    assert start(stage, folder).wait(timeout=120) == 0
    assert outputs(stage, folder) == whole


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "closed"), [("download", "data"), ("train", "plots")])
def test_folder_without_write_permission_is_one_line(
    stage: str, closed: str, undisturbed: Path, tmp_path: Path
) -> None:
    folder = begin(undisturbed, tmp_path)
    (folder / closed).mkdir(exist_ok=True)
    (folder / closed).chmod(0o555)
    # Root may write anywhere, unless it gives that up.
    powers = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    status = start(stage, folder, *(powers if os.getuid() == 0 else [])).wait(timeout=120)
    (folder / closed).chmod(0o755)
    line = said(folder).splitlines()[-1]
    assert line.startswith(f"{stage}: {closed}/") and line.endswith(": Permission denied")
    assert (status, outputs(stage, folder), "Traceback" in said(folder)) == (2, {}, False)


@pytest.mark.slow
def test_download_that_is_killed_while_it_writes_leaves_no_partial_output(
    undisturbed: Path, tmp_path: Path
) -> None:
    folder = begin(undisturbed, tmp_path)
    kill(start("download", folder, slow=0.1), lambda: [*folder.glob("data/.raw.part/.*.part")])
    assert outputs("download", folder) == {}
    assert start("download", folder).wait(timeout=120) == 0
    assert outputs("download", folder) == outputs("download", undisturbed)


def snapshots(folder: Path, pattern: str, since: float = 0) -> bool:
    """Tell whether a snapshot, or a part of one, was written after a point in time."""
    found = (folder / ".dvc/tmp/snapshots").glob(pattern)
    with contextlib.suppress(FileNotFoundError):  # renamed just now
        return any(path.stat().st_mtime > since for path in found)
    return False


@pytest.mark.slow
def test_killed_training_ends_with_the_same_bytes(undisturbed: Path, tmp_path: Path) -> None:
    """Kill it while it writes its first snapshot, after it, and while it writes a later one."""
    folder = begin(undisturbed, tmp_path)
    for moment, resumes in ((".*.part", False), ("*.pt", False), (".*.part", True)):
        written = partial(snapshots, folder, moment, since=time.time())
        kill(start("train", folder, slow=0.1), written)
        assert not (folder / "models").exists()
        assert "Traceback" not in said(folder) and "not a snapshot" not in said(folder)
        assert ("continuing after epoch" in said(folder)) == resumes
    assert start("train", folder).wait(timeout=120) == 0
    assert "continuing after epoch" in said(folder)
    assert outputs("train", folder) == outputs("train", undisturbed)


def test_second_of_two_same_trainings_continues_when_the_first_is_stopped(
    undisturbed: Path, tmp_path: Path
) -> None:
    one, two = begin(undisturbed, tmp_path / "one"), begin(undisturbed, tmp_path / "two")
    first = start("train", one, slow=2)
    wait_for(lambda: snapshots(one, "*.pt"))
    second = start("train", two, DVC_ROOT=str(one))
    wait_for(lambda: "another process trains the same run; waiting for it" in said(two))
    first.send_signal(signal.SIGINT)
    assert first.wait(timeout=60) == 128 + signal.SIGINT
    stopped = re.fullmatch(
        rf"train: stopped by SIGINT after epoch (\d+) of {EPOCHS};"
        " the same run continues from there",
        said(one).splitlines()[-1],
    )
    assert stopped, said(one)
    assert not (one / "models").exists()
    assert second.wait(timeout=120) == 0
    assert f"continuing after epoch {stopped[1]} of {EPOCHS}" in said(two)
    assert outputs("train", two) == outputs("train", undisturbed)
