"""Check params.yaml before any stage runs: DVC removes a stage's outputs before it starts it."""

from pathlib import Path

import _stage

from cifar2 import files, params
from cifar2.errors import UserError
from cifar2.inference import device

HELP = {
    "settings": "the settings file, params.yaml",
    "checked": "the file to write if the settings are valid",
}


def main(settings: Path, checked: Path) -> None:
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
