"""Full disks, folders without write permission, kills: an output is whole, or it is not there."""

import contextlib
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import contents, environment, run, words

OUTPUTS = {
    "download": ["data/raw"],
    "filter": ["data/cifar2", "data/val.pt"],
    "train": ["models/model.pt", "models/model.json"],
    "evaluate": ["metrics/accuracy.json", "plots/predictions.csv"],
    "plot": ["plots/loss.png", "plots/accuracy.png", "plots/mistakes.png"],
    "calibration": ["metrics/calibration.json", "plots/reliability.csv"],
    "neither": ["metrics/neither.csv", "plots/surest.csv"],
    "surest": ["plots/surest.png"],
    "card": ["models/README.md"],
}


def outputs(stage: str, folder: Path) -> dict[str, bytes]:
    """Return the outputs of a stage that are there, with their contents."""
    found: dict[str, bytes] = {}
    for name in OUTPUTS[stage]:
        if (folder / name).is_dir():
            files = contents(folder / name).items()
            found |= {f"{name}/{file}": content for file, content in files}
        elif (folder / name).exists():
            found[name] = (folder / name).read_bytes()
    return {name: content for name, content in found.items() if ".part" not in name}


def remove_outputs(stage: str, folder: Path) -> None:
    for name in OUTPUTS[stage]:
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(at: Path, kibibytes: int) -> Iterator[None]:
    """Mount a small file system at a folder, with the folder's contents; unmount it at the end."""
    aside = at.with_name("aside")
    at.mkdir(parents=True, exist_ok=True)
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
        ("download", "data", 60_000, "data/.raw.part/synthetic.npz"),
        ("filter", "data", 60_000, "data/.cifar2.part/train.pt"),
        ("train", "models", 8, "models/model.pt"),
        ("evaluate", "metrics", 8, "metrics/accuracy.json"),  # two other files fill it
        ("plot", "plots", 150, "plots/"),
    ],
)
def test_full_disk_is_one_line_and_leaves_no_partial_output(
    stage: str, disk: str, kibibytes: int, full: str, folder: Path
) -> None:
    whole = outputs(stage, folder)
    remove_outputs(stage, folder)
    with small_disk(folder / disk, kibibytes):
        said = run(*words(stage), cwd=folder, status=2)
        assert said.splitlines()[-1].startswith(f"{stage}: {full}")
        assert said.endswith(": No space left on device\n")
        assert "Traceback" not in said
        assert outputs(stage, folder).items() <= whole.items()
    run(*words(stage), cwd=folder)
    assert outputs(stage, folder) == whole


@pytest.mark.slow
@pytest.mark.parametrize("stage", OUTPUTS)
def test_folder_without_write_permission_is_one_line(stage: str, folder: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("permissions are others there")
    whole = outputs(stage, folder)
    remove_outputs(stage, folder)
    places = {(folder / name).parent for name in OUTPUTS[stage]} | {folder / "models"}
    for place in places:
        place.mkdir(exist_ok=True)
        place.chmod(0o555)
    # Root may write anywhere, unless it gives that up.
    powers = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    as_user = powers if os.getuid() == 0 else []
    said = run(*as_user, *words(stage), cwd=folder, status=2)
    for place in places:
        place.chmod(0o755)
    assert said.splitlines()[-1].startswith(f"{stage}: ")
    assert said.endswith(": Permission denied\n")
    assert "Traceback" not in said
    assert outputs(stage, folder) == {}
    run(*words(stage), cwd=folder)
    assert outputs(stage, folder) == whole


@pytest.mark.slow
@pytest.mark.parametrize("stage", OUTPUTS)
def test_killed_at_any_moment_a_stage_leaves_no_partial_output(stage: str, folder: Path) -> None:
    whole = outputs(stage, folder)
    moments = random.Random(0)
    start = time.monotonic()
    run(*words(stage), cwd=folder)
    duration = time.monotonic() - start
    for _ in range(5):
        remove_outputs(stage, folder)
        process = subprocess.Popen(
            words(stage), cwd=folder, env=environment(), stderr=subprocess.DEVNULL
        )
        time.sleep(moments.uniform(0.5, 1) * duration)
        process.kill()
        process.wait()
        assert outputs(stage, folder).items() <= whole.items()
    run(*words(stage), cwd=folder)
    assert outputs(stage, folder) == whole
