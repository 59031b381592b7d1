"""Run a stage: python stages NAME --option PATH …"""

import sys
from pathlib import Path

if __name__ == "__main__":
    # The library that lies beside this folder comes first, whatever is installed, because queued
    # experiments and second clones run in other folders. The root is for the stages of the zoo.
    root = Path(__file__).resolve().parent.parent
    sys.path[:0] = [str(root / "src"), str(root)]
    try:
        import _stage

        _stage.run(sys.argv[1:])
    except ModuleNotFoundError as error:
        if str(error.name).startswith(("cifar2", "zoo", "_stage")):
            raise
        print(f"{error} in {sys.executable}; type `. .venv/bin/activate`", file=sys.stderr)
        sys.exit(2)
