"""A training is killed and stopped: what is on disk is whole, and nothing is lost."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, contents, environment, wait_for, words, write
from tests.stages.conftest import main, tiny_data

if sys.platform == "win32":
    pytest.skip("a process can't send these signals there", allow_module_level=True)

EPOCHS = 40
# The real stage, but it writes a snapshot after every epoch, and takes so many seconds longer for
# each file that it writes, between the file's last byte and its renaming.
SLOWLY = f"""
import os, sys, time
sys.path[:0] = {[str(ROOT / folder) for folder in ("stages", "src")]}
import _stage
from cifar2 import snapshot
snapshot.INTERVAL = 0
fsync = os.fsync
os.fsync = lambda file: (fsync(file), time.sleep(float(sys.argv[1])))
_stage.run(sys.argv[2:])
"""


def begin(folder: Path) -> Path:
    """Write the settings and the data of a training."""
    tiny_data(folder / "data/cifar2")
    # This network draws random numbers in training, and has running statistics.
    settings = {"model__name": "net1", "train__epochs": EPOCHS, "train__threads": 1}
    write(folder / "params.yaml", data__source="synthetic", **settings)
    return folder


def start(folder: Path, slow: float = 0, **env: str) -> subprocess.Popen[bytes]:
    """Train in a process, which prints into the file `said` in the folder."""
    command = [sys.executable, "-c", SLOWLY, str(slow), *words("train")[2:]]
    with open(folder / "said", "wb") as said:
        env = environment(**env)
        return subprocess.Popen(command, cwd=folder, env=env, stdout=said, stderr=said)


def kill(process: subprocess.Popen[bytes], when: Callable[[], object]) -> None:
    wait_for(when)
    process.kill()
    assert process.wait() == -signal.SIGKILL


def said(folder: Path) -> str:
    return (folder / "said").read_text()


def snapshots(folder: Path, pattern: str = "*.pt") -> list[Path]:
    return list((folder / ".dvc/tmp/snapshots").glob(pattern))


@pytest.mark.slow
def test_training_continues_after_kills_and_beside_another_with_the_same_bytes(
    tmp_path: Path,
) -> None:
    """Kill it while it writes its first snapshot, and a later one; then stop it by a signal."""
    one, two, undisturbed = (begin(tmp_path / name) for name in ("one", "two", "undisturbed"))
    main("train", undisturbed)
    kill(start(one, slow=1), lambda: snapshots(one, ".*.part"))
    assert snapshots(one) == []
    kill(start(one, slow=1), lambda: snapshots(one) and snapshots(one, ".*.part"))
    assert "continuing after epoch" not in said(one)
    (saved,) = snapshots(one)
    written = saved.stat().st_mtime_ns
    first = start(one, slow=2)
    wait_for(lambda: saved.stat().st_mtime_ns > written)
    assert "continuing after epoch" in said(one)
    second = start(two, DVC_ROOT=str(one))
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
    for name in ("models", "plots"):
        assert contents(two / name) == contents(undisturbed / name)
