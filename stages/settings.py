"""Check params.yaml before any stage runs: DVC removes a stage's outputs before it starts it."""

import contextlib
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for where PYTHONSAFEPATH is set

import _stage

from cifar2 import files, params
from cifar2.errors import UserError
from cifar2.inference import device


def main(settings: Path, checked: Path) -> None:
    # `dvc exp run` writes these files just after Git did. Where the second and the size are the
    # same, Git takes a changed file for unchanged, and `git restore` leaves it as it is. So their
    # time becomes one that Git has not seen.
    for path in (settings, Path("dvc.lock")):
        with contextlib.suppress(FileNotFoundError):
            os.utime(path, times=2 * (path.stat().st_mtime + 1,))
    try:
        wanted = params.load(settings).train.device
    except UserError as error:
        raise UserError(f"{error}{_networks_not_in_git()}") from error
    if wanted not in ("auto", "cpu"):  # every machine has these; to look for others imports torch
        device.resolve(wanted)
    # The next stage depends on this file, so DVC runs this stage first.
    files.write(checked, b"the settings are valid\n")


def _networks_not_in_git() -> str:
    """Name the networks that lie in the main repository alone; DVC copies what Git knows."""
    folder = Path("src/cifar2/models")
    copied = Path(__file__).resolve().parent.parent / folder
    main = _stage.scratch(folder)
    left = [file.stem for file in sorted(main.glob("*.py")) if not (copied / file.name).exists()]
    return f"; {', '.join(left)}: `git add` the file first, since this is a copy" if left else ""


if __name__ == "__main__":
    _stage.run(
        main,
        __doc__,
        settings="the settings file, params.yaml",
        checked="the file to write if the settings are valid",
    )
