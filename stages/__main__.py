"""Run a stage: python stages NAME --option PATH …"""

import sys
from pathlib import Path

if __name__ == "__main__":
    # The library that lies beside this folder comes first, whatever is installed, because queued
    # experiments and second clones run in other folders. The root is for the stages of the zoo.
    root = Path(__file__).resolve().parent.parent
    sys.path[:0] = [str(root / "src"), str(root)]
    import _stage

    _stage.run(sys.argv[1:])
