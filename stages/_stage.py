"""What every stage script shares: its arguments, its log, its errors, its end."""

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

# The library that lies beside this script comes first, whatever is installed: queued experiments
# and second clones run in other folders.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from cifar2 import UserError

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """Ctrl-C, or another signal to stop. What is caught may say more in `note`."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.note = ""


def run(main: Callable[..., None], description: str | None, **paths: str) -> NoReturn:
    """Run a stage and exit: 0; 2 and one line on stderr for what the user can put right; 128 and
    the signal's number when it was stopped.

    Args:
        main: takes the named paths as keyword arguments. It imports what is slow (torch, above
            all) when it needs it, so that `--help` and a wrong setting answer at once.
        paths: what to say of each in `--help`.
    """
    parser = argparse.ArgumentParser(description=description)
    for name, text in paths.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=Path, required=True, metavar="PATH", help=text)
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    arguments = vars(parser.parse_args())
    for number in STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # which nohup sets
            signal.signal(number, _stop)
    if "DVC_ROOT" in os.environ:
        threading.Thread(target=_stop_with_parent, args=[os.getppid()], daemon=True).start()
    try:
        main(**arguments)
    except UserError as error:
        _fail(str(error), 2)
    except OSError as error:  # a full disk, a folder that may not be written to
        if error.strerror is None:
            raise
        _fail(f"{error.filename or 'writing'}: {error.strerror}", 2)
    except Stopped as stop:
        _fail(f"stopped by {signal.Signals(stop.number).name}{stop.note}", 128 + stop.number)
    sys.exit(0)


def _stop(number: int, _: FrameType | None) -> NoReturn:
    for other in STOP_SIGNALS:  # what is done now, to stop in order, is not to be stopped
        signal.signal(other, signal.SIG_IGN)
    raise Stopped(number)


def _stop_with_parent(parent: int) -> None:
    """Stop when DVC was killed: it would not record the outputs, and may be run again by now."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def _fail(message: str, status: int) -> NoReturn:
    print(f"{Path(sys.argv[0]).stem}: {message}", file=sys.stderr)
    sys.exit(status)
