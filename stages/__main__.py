"""Run a stage: python stages NAME --option PATH …"""

import contextlib
import gc
import os
import sys
from pathlib import Path

if __name__ == "__main__":
    # The library that lies beside this folder comes first, whatever is installed, because queued
    # experiments and second clones run in other folders. The root is for the stages of the zoo.
    root = Path(__file__).resolve().parent.parent
    sys.path[:0] = [str(root / "src"), str(root)]
    try:
        import _stage

        from cifar2 import params  # noqa: F401  (whoever lacks none of its packages has all)
    except ModuleNotFoundError as error:
        if str(error.name).startswith("cifar2"):
            raise
        print(f"{error} in {sys.executable}: activate the environment", file=sys.stderr)
        sys.exit(2)
    gc.set_threshold(100_000)  # torch makes so many objects that searching them takes half a second
    try:
        _stage.run(sys.argv[1:])
    except SystemExit as end:
        # Nothing needs what Python does at its end, which takes a second after torch was imported.
        with contextlib.suppress(OSError):  # nobody reads it any more
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(int(end.code or 0))
