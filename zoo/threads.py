"""Threads of this machine do the zoo's runs."""

import re
import signal
import sys
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path

import psutil

from zoo.run import Ended, Executor, Failed, Progress, Task, do, log_of


def on_threads(jobs: int) -> Executor:
    """Return an executor that does `jobs` tasks at a time on this machine."""

    def execute(tasks: list[Task], zoo: Path, scratch: Path) -> Progress:
        running: dict[str, None] = {}

        def work(task: Task) -> Ended:
            running[task.name] = None
            try:
                inputs = {path: zoo / path for path in task.inputs}
                # Snapshots of a training that was stopped lie in the zoo.
                variables = {"DVC_ROOT": str(zoo)}
                return Ended(task.name, do(task, scratch / "code", inputs, scratch, variables))
            except (Failed, OSError) as error:
                return Ended(task.name, {}, str(error))
            finally:
                del running[task.name]

        pool = ThreadPoolExecutor(jobs)
        left = {pool.submit(work, task) for task in tasks}
        try:
            while left:
                done, left = wait(left, timeout=2, return_when=FIRST_COMPLETED)
                names = [_with_epoch(name, log_of(scratch, name)) for name in list(running)]
                yield [each.result() for each in done], names
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            if sys.platform != "win32":  # there, the terminal sends Ctrl-C to them as well
                for process in psutil.Process().children(recursive=True):
                    with suppress(psutil.Error):  # it may have ended meanwhile
                        process.send_signal(signal.SIGINT)  # a training then saves its state
            pool.shutdown()

    return execute


def _with_epoch(name: str, log: Path) -> str:
    """Return the run's name, and the last epoch in its log."""
    said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    epochs = re.findall(r"epoch (\d+/\d+)", said)
    return f"{name} {epochs[-1]}" if epochs else name
