"""What every stage script shares: its arguments, its log, its errors, its exit status."""

import argparse
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

from cifar2.errors import FileError, MissingFile, UserError

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
    if "DVC_ROOT" in os.environ:
        threading.Thread(target=_stop_with_parent, args=[os.getppid()], daemon=True).start()
    try:
        main(**arguments)
    except MissingFile as error:
        _fail(f"{error}; {missing}", 2)
    except FileError as error:
        _fail(f"{error}; {damaged}", 2)
    except UserError as error:
        _fail(str(error), 2)
    except OSError as error:  # a full disk, or a folder that is not writable
        if error.strerror is None:
            raise
        _fail(f"{error.filename or 'writing'}: {error.strerror}", 2)
    except Stopped as stop:
        _fail(f"stopped by {signal.Signals(stop.number).name}{stop.note}", 128 + stop.number)
    sys.exit(0)


def _stop(number: int, _: FrameType | None) -> NoReturn:
    for other in STOP_SIGNALS:  # a second signal must not interrupt the saving after the first
        signal.signal(other, signal.SIG_IGN)
    raise Stopped(number)


def _stop_with_parent(parent: int) -> None:
    """Stop when DVC was killed: it would not record the outputs, and may run again meanwhile."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def _fail(message: str, status: int) -> NoReturn:
    print(f"{Path(sys.argv[0]).stem}: {message}", file=sys.stderr)
    sys.exit(status)
