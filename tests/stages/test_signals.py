"""How a stage stops: by a signal, and when DVC was killed."""

import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import environment
from tests.stages.test_stage import toy

if sys.platform == "win32":
    pytest.skip("a process can't send these signals there", allow_module_level=True)


def started(command: list[str]) -> subprocess.Popen[str]:
    """Start a command, and wait until it is under way."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, env=environment(), stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )
    assert process.stdout and process.stdout.readline() == "under way\n"
    return process


UNDER_WAY = "print('under way', flush=True); time.sleep(60)"


@pytest.mark.parametrize(
    ("name", "ignored"), [("SIGINT", "SIGHUP"), ("SIGTERM", "SIGHUP"), ("SIGHUP", "SIGINT")]
)
def test_stopped_stage_saves_undisturbed_and_has_the_conventional_status(
    name: str, ignored: str, tmp_path: Path
) -> None:
    """What was ignored when the stage started stays ignored; nohup lets it ignore SIGHUP."""
    saving = "print('saving', flush=True); sys.stdin.readline(); print('saved', flush=True)"
    main = f"try:\n    {UNDER_WAY}\nfinally:\n    {saving}"
    command = f"trap '' {ignored[3:]}; exec {shlex.join(toy(tmp_path, main))}"
    with started(["sh", "-c", command]) as process:
        process.send_signal(signal.Signals[ignored])
        process.send_signal(signal.Signals[name])
        assert process.stdout and process.stdout.readline() == "saving\n"
        process.send_signal(signal.SIGTERM)  # a second one does not interrupt the saving
        said = process.communicate("\n", timeout=60)
    assert said == ("saved\n", f"toy: stopped by {name}\n")
    assert process.returncode == 128 + signal.Signals[name]


def test_stage_stops_when_dvc_was_killed(tmp_path: Path) -> None:
    """DVC's shell may stay between the two."""
    shell = ["sh", "-c", f"{shlex.join(toy(tmp_path, UNDER_WAY))}; true"]
    environment = "os.environ | {'DVC_STAGE': 'toy'}"
    dvc = f"import os, subprocess; subprocess.run({shell!r}, env={environment})"
    with started([sys.executable, "-c", dvc]) as process:
        process.kill()
        _, said = process.communicate(timeout=60)  # until the stage, too, has closed it
    assert said == "toy: stopped by SIGTERM\n"
