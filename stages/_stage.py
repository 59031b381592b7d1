"""What every stage script shares: its arguments, its log, its errors."""

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

# The library that lies beside this script comes first, whatever is installed: queued experiments
# and second clones run in other folders.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from cifar2 import UserError


def run(main: Callable[..., None], description: str | None, **paths: str) -> NoReturn:
    """Run a stage and exit: 0, or 2 and one line on stderr for what the user can put right.

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
    try:
        main(**arguments)
    except UserError as error:
        _fail(str(error), 2)
    except OSError as error:  # a full disk, a folder that may not be written to
        if error.strerror is None:
            raise
        _fail(f"{error.filename or 'writing'}: {error.strerror}", 2)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    sys.exit(0)


def _fail(message: str, status: int) -> NoReturn:
    print(f"{Path(sys.argv[0]).stem}: {message}", file=sys.stderr)
    sys.exit(status)
