"""How a stage stops: by a signal, and when DVC was killed."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.conftest import environment
from tests.stages.test_stage import toy

if sys.platform == "win32":
    pytest.skip("a process can't send these signals there", allow_module_level=True)


@contextmanager
def started(command: list[str], **changes: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command that prints a line once it is under way; kill what is left of it."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        env=environment(**changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "under way\n"
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


UNDER_WAY = "print('under way', flush=True); time.sleep(60)"


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_stopped_stage_saves_undisturbed_and_has_the_conventional_status(
    name: str, tmp_path: Path
) -> None:
    saving = "print('saving', flush=True); sys.stdin.readline(); print('saved', flush=True)"
    main = f"try:\n    {UNDER_WAY}\nfinally:\n    {saving}"
    with started(toy(tmp_path, main)) as process:
        assert process.stdout is not None
        process.send_signal(signal.Signals[name])
        assert process.stdout.readline() == "saving\n"
        process.send_signal(signal.SIGTERM)  # a second one does not interrupt the saving
        said = process.communicate("\n", timeout=60)
    assert said == ("saved\n", f"toy: stopped by {name}\n")
    assert process.returncode == 128 + signal.Signals[name]


def test_signal_that_nohup_ignores_stays_ignored(tmp_path: Path) -> None:
    command = shlex.join(toy(tmp_path, UNDER_WAY))
    with started(["sh", "-c", f"trap '' HUP; exec {command}"]) as process:
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert said == "toy: stopped by SIGTERM\n"


def test_stage_stops_when_dvc_was_killed(tmp_path: Path) -> None:
    """DVC's shell may stay between the two."""
    shell = ["sh", "-c", f"{shlex.join(toy(tmp_path, UNDER_WAY))}; true"]
    environment = "os.environ | {'DVC_STAGE': 'toy'}"
    dvc = f"import os, subprocess; subprocess.run({shell!r}, env={environment})"
    with started([sys.executable, "-c", dvc]) as process:
        process.kill()
        _, said = process.communicate(timeout=60)  # until the stage, too, has closed it
    assert said == "toy: stopped by SIGTERM\n"
