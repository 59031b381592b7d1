"""Check params.yaml before any stage runs: DVC removes a stage's outputs before it starts it."""

from pathlib import Path

import _stage

from cifar2 import files, params
from cifar2.inference import device


def main(settings: Path, checked: Path) -> None:
    wanted = params.load(settings).train.device
    if wanted not in ("auto", "cpu"):  # every machine has these; to look for others imports torch
        device.resolve(wanted)
    # The next stage depends on this file, so DVC runs this stage first.
    files.write(checked, b"the settings are valid\n")


if __name__ == "__main__":
    _stage.run(
        main,
        __doc__,
        settings="the settings file, params.yaml",
        checked="the file to write if the settings are valid",
    )
