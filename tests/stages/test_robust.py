"""Kills, signals and full disks: an output is whole, or it is not there, and nothing is lost."""

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cifar2.data import synthetic
from tests.conftest import ROOT, contents, environment, wait_for, words, write
from tests.stages.conftest import main, tiny_data

if sys.platform == "win32":
    pytest.skip("a process can't send these signals there", allow_module_level=True)

EPOCHS = 40
# The real stage, but it takes so many seconds longer for each file that it writes, between the
# file's last byte and its renaming. A training writes a snapshot after every epoch.
SLOWLY = f"""
import os, sys, time
sys.path[:0] = {[str(ROOT / folder) for folder in ("stages", "src")]}
import _stage
from cifar2.data import synthetic
synthetic.TRAIN_PER_CLASS, synthetic.VAL_PER_CLASS = 100, 50
if sys.argv[2] == "train":
    from cifar2 import snapshot
    snapshot.INTERVAL = 0
fsync = os.fsync
os.fsync = lambda file: (fsync(file), time.sleep(float(sys.argv[1])))
_stage.run(sys.argv[2:])
"""
OUTPUTS = {"download": ("data/raw/",), "train": ("models/", "plots/")}


def outputs(stage: str, folder: Path) -> dict[str, bytes]:
    """Return the outputs of a stage that are there, with their contents."""
    files = contents(folder).items()
    return {name: content for name, content in files if name.startswith(OUTPUTS[stage])}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a folder in which undisturbed stages have left their outputs."""
    path = tmp_path_factory.mktemp("undisturbed")
    # This network draws random numbers in training, and has running statistics.
    settings = {"model__name": "net1", "train__epochs": EPOCHS, "train__threads": 1}
    write(path / "params.yaml", data__source="synthetic", **settings)
    tiny_data(path / "data/cifar2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "TRAIN_PER_CLASS", 100)
        patch.setattr(synthetic, "VAL_PER_CLASS", 50)
        main("download", path)
        main("train", path)
        yield path


def begin(undisturbed: Path, folder: Path) -> Path:
    """Copy the settings and the data of the undisturbed training."""
    shutil.copytree(undisturbed / "data/cifar2", folder / "data/cifar2")
    shutil.copy(undisturbed / "params.yaml", folder)
    return folder


def start(stage: str, folder: Path, slow: float = 0, **env: str) -> subprocess.Popen[bytes]:
    """Run a stage in a process, which prints into the file `said` in the folder."""
    command = [sys.executable, "-c", SLOWLY, str(slow), *words(stage)[2:]]
    with open(folder / "said", "wb") as said:
        env = environment(**env)
        return subprocess.Popen(command, cwd=folder, env=env, stdout=said, stderr=said)


def kill(process: subprocess.Popen[bytes], when: Callable[[], object]) -> None:
    wait_for(when)
    process.kill()
    assert process.wait() == -signal.SIGKILL


def said(folder: Path) -> str:
    return (folder / "said").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "disk", "kibibytes", "full"),
    [
        ("download", "data", 700, "data/.raw.part/synthetic.npz"),
        ("train", "models", 8, "models/model.pt"),
    ],
)
def test_full_disk_is_named_and_leaves_no_partial_output(
    stage: str, disk: str, kibibytes: int, full: str, undisturbed: Path, tmp_path: Path
) -> None:
    folder, whole = begin(undisturbed, tmp_path), outputs(stage, undisturbed)
    aside, small = tmp_path / "aside", tmp_path / disk
    small.mkdir(exist_ok=True)
    shutil.copytree(small, aside)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system takes root")
    try:
        shutil.copytree(aside, small, dirs_exist_ok=True)
        with pytest.raises(OSError, match="No space left on device") as caught:
            main(stage, folder)
        assert caught.value.filename == str(folder / full)
        assert outputs(stage, folder).items() <= whole.items()
    finally:
        subprocess.run(["umount", str(small)], check=True)
    main(stage, folder)
    assert outputs(stage, folder) == whole


@pytest.mark.slow
def test_download_that_is_killed_while_it_writes_leaves_no_partial_output(
    undisturbed: Path, tmp_path: Path
) -> None:
    folder = begin(undisturbed, tmp_path)
    kill(start("download", folder, slow=9), lambda: [*folder.glob("data/.raw.part/.*.part")])
    assert outputs("download", folder) == {}
    main("download", folder)
    assert outputs("download", folder) == outputs("download", undisturbed)


def snapshots(folder: Path, pattern: str = "*.pt") -> list[Path]:
    return list((folder / ".dvc/tmp/snapshots").glob(pattern))


@pytest.mark.slow
def test_training_continues_after_kills_and_beside_another_with_the_same_bytes(
    undisturbed: Path, tmp_path: Path
) -> None:
    """Kill it while it writes its first snapshot, and a later one; then stop it by a signal."""
    one, two = begin(undisturbed, tmp_path / "one"), begin(undisturbed, tmp_path / "two")
    kill(start("train", one, slow=1), lambda: snapshots(one, ".*.part"))
    assert snapshots(one) == []
    kill(start("train", one, slow=1), lambda: snapshots(one) and snapshots(one, ".*.part"))
    assert "continuing after epoch" not in said(one)
    first = start("train", one, slow=2)
    wait_for(lambda: "continuing after epoch" in said(one))
    second = start("train", two, DVC_ROOT=str(one))
    wait_for(lambda: "another process trains the same run; waiting for it" in said(two))
    first.send_signal(signal.SIGINT)
    assert first.wait(timeout=60) == 128 + signal.SIGINT
    assert "Traceback" not in said(one) and "not a snapshot" not in said(one)
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
