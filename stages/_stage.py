"""What the stages share: their arguments, their log, their errors, their exit status.

A stage is a module with a function `main`, which takes paths, and with `HELP`, which describes
them. `main` imports what is slow (above all torch) when it needs it, so that `--help` and a wrong
setting answer at once. MISSING and DAMAGED, where the module has them, are what to say after the
library's message about a file that is missing, or that is damaged or does not fit.
"""

import _thread
import argparse
import contextlib
import importlib
import inspect
import itertools
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psutil
import yaml

from cifar2 import environment
from cifar2.errors import FileError, MissingFile, UserError

# Not every system has all of them.
STOP_SIGNALS = [each for each in signal.Signals if each.name in ("SIGINT", "SIGTERM", "SIGHUP")]

environment.prepare()  # a stage imports this module before torch


class Stopped(KeyboardInterrupt):
    """A signal to stop; the argument is its number. Whoever catches it may say more in `note`."""

    note = ""


def scratch(path: Path) -> Path:
    """Return a path in the main repository, also where DVC runs the stage in a copy of it."""
    return Path(os.environ.get("DVC_ROOT", ".")) / path


def run(words: Sequence[str]) -> NoReturn:
    """Run a stage and exit: with 0; with 2 and one line on stderr for what the user can put right;
    or with 128 plus the signal's number if it was stopped.

    Args:
        words: the name of the stage's module, and its options.
    """
    names = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
    name = words[0] if words else ""
    if name not in names and not name.startswith("zoo."):
        print(f"usage: python stages {{{','.join(names)}}} --help", file=sys.stderr)
        sys.exit(2)
    if "DVC_STAGE" in os.environ:
        _renew_times()
    stage = importlib.import_module(name)
    parser = argparse.ArgumentParser(f"python stages {name}", description=stage.__doc__)
    parameters = inspect.signature(stage.main).parameters
    for path, text in stage.HELP.items():
        required = parameters[path].default is inspect.Parameter.empty
        option = f"--{path.replace('_', '-')}"
        parser.add_argument(option, type=Path, required=required, metavar="PATH", help=text)
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    arguments = vars(parser.parse_args(words[1:]))
    places = {key.replace("_", "-"): Path(os.path.abspath(p)) for key, p in arguments.items() if p}
    for one, other in itertools.permutations(places, 2):
        if places[one].is_relative_to(places[other]):  # stages write files, and replace folders
            _fail(name, f"--{one} must not be --{other} or lie in it: {places[one]}")
    for number in STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup sets SIG_IGN
            signal.signal(number, _stop)
    if "DVC_STAGE" in os.environ and (dvc := _dvc()):
        threading.Thread(target=_stop_with, args=[dvc], daemon=True).start()
    try:
        stage.main(**arguments)
    except MissingFile as error:
        _fail(name, f"{error}; {getattr(stage, 'MISSING', '`dvc repro` makes it')}")
    except FileError as error:
        _fail(name, f"{error}; {getattr(stage, 'DAMAGED', '`dvc repro -f` makes it again')}")
    except UserError as error:
        _fail(name, str(error))
    except OSError as error:  # a full disk, or a folder that is not writable
        place = f"{error.filename or 'writing'}: "
        _fail(name, f"{place}{error.strerror}" if error.strerror else str(error))
    except Stopped as stop:
        number = signal.Signals(stop.args[0])
        _fail(name, f"stopped by {number.name}{stop.note}", 128 + number)
    sys.exit(0)


def _fail(name: str, message: str, status: int = 2) -> NoReturn:
    print(f"{name.rpartition('.')[2]}: {message}", file=sys.stderr)
    sys.exit(status)


def _renew_times() -> None:
    """Set the time of all that Git tracks of the pipeline, outputs and settings, back by an hour.

    `dvc exp run` lets Git write the committed files, and writes those of the workspace over them
    within the same second. Git compares only sizes and seconds. So it would take results of another
    experiment for the committed ones, and `git restore` would leave them there.
    """
    if not Path("dvc.yaml").exists():  # a run of the zoo, in a folder of its own
        return
    stages = yaml.safe_load(Path("dvc.yaml").read_bytes())["stages"].values()
    outputs = [out for stage in stages for out in stage.get("outs", []) + stage.get("metrics", [])]
    options = dict(next(iter(out.items())) for out in outputs if isinstance(out, dict))
    tracked = [Path(name) for name, each in options.items() if each.get("cache") is False]
    for path in [Path("params.yaml"), Path("dvc.lock"), *tracked]:
        for file in path.rglob("*") if path.is_dir() else [path]:
            with contextlib.suppress(OSError):  # missing, or of another user
                os.utime(file, times=2 * (file.stat().st_mtime - 3600,))


def _stop(number: int, _: FrameType | None) -> NoReturn:
    for other in STOP_SIGNALS:  # a second signal must not interrupt the saving after the first
        signal.signal(other, signal.SIG_IGN)
    raise Stopped(number)


def _dvc() -> psutil.Process | None:
    """Return the DVC process that runs this stage; there may be a shell and more in between.

    DVC gives the variable DVC_STAGE to all of these, and does not have it itself.
    """
    for process in psutil.Process().parents():
        with contextlib.suppress(psutil.Error):
            if "DVC_STAGE" not in process.environ():
                return process
    return None


def _stop_with(dvc: psutil.Process) -> None:
    """Stop when DVC was killed: it would not record the outputs, and may run again meanwhile."""
    with contextlib.suppress(psutil.NoSuchProcess):
        while dvc.is_running() and dvc.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.5)
    if sys.platform == "win32":  # there, os.kill would end the process without saving
        _thread.interrupt_main(signal.SIGTERM)
    else:
        os.kill(os.getpid(), signal.SIGTERM)
