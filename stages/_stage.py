"""What every stage script shares: its arguments, its log, its errors, its exit status."""

import _thread
import argparse
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

# The library that lies beside this script comes first, whatever is installed, because queued
# experiments and second clones run in other folders.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import psutil

from cifar2 import openmp
from cifar2.errors import FileError, MissingFile, UserError

# Not every system has all of them.
STOP_SIGNALS = [each for each in signal.Signals if each.name in ("SIGINT", "SIGTERM", "SIGHUP")]

openmp.prepare()  # a stage imports this module before torch


class Stopped(KeyboardInterrupt):
    """Ctrl-C, or another signal to stop. Whoever catches it may say more in `note`."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.note = ""


def scratch(path: Path) -> Path:
    """Return a path in the main repository, also where DVC runs the stage in a copy of it."""
    return Path(os.environ.get("DVC_ROOT", ".")) / path


def run(
    main: Callable[..., None],
    description: str | None,
    *,
    missing: str = "`dvc repro` makes it",
    damaged: str = "`dvc repro -f` makes it again",
    **paths: str,
) -> NoReturn:
    """Run a stage and exit: with 0; with 2 and one line on stderr for what the user can put right;
    or with 128 plus the signal's number if it was stopped.

    Args:
        main: takes the named paths as keyword arguments. It imports what is slow (above all torch)
            when it needs it, so that `--help` and a wrong setting answer at once.
        missing, damaged: what to say after the library's message about a file that is missing, or
            that is damaged or does not fit.
        paths: what `--help` says of each.
    """
    parser = argparse.ArgumentParser(description=description)
    for name, text in paths.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=Path, required=True, metavar="PATH", help=text)
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    arguments = vars(parser.parse_args())
    for number in STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup sets SIG_IGN
            signal.signal(number, _stop)
    if "DVC_STAGE" in os.environ and (dvc := _dvc()):
        threading.Thread(target=_stop_with, args=[dvc], daemon=True).start()
    try:
        main(**arguments)
    except MissingFile as error:
        _fail(f"{error}; {missing}", 2)
    except FileError as error:
        _fail(f"{error}; {damaged}", 2)
    except UserError as error:
        _fail(str(error), 2)
    except OSError as error:  # a full disk, or a folder that is not writable
        place = f"{error.filename or 'writing'}: "
        _fail(f"{place}{error.strerror}" if error.strerror else str(error), 2)
    except Stopped as stop:
        _fail(f"stopped by {signal.Signals(stop.number).name}{stop.note}", 128 + stop.number)
    sys.exit(0)


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


def _fail(message: str, status: int) -> NoReturn:
    print(f"{Path(sys.argv[0]).stem}: {message}", file=sys.stderr)
    sys.exit(status)
