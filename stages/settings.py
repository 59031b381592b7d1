"""Check params.yaml before any stage runs: DVC removes a stage's outputs before it starts it."""

from pathlib import Path

import _stage

from cifar2 import device, files, params


def main(settings: Path, checked: Path) -> None:
    wanted = params.load(settings).train.device
    if wanted not in ("auto", "cpu"):  # which are everywhere; to look for others takes torch
        device.resolve(wanted)
    # A file that the next stage needs: so DVC knows which comes first.
    files.write(checked, b"the settings are valid\n")


if __name__ == "__main__":
    _stage.run(
        main,
        __doc__,
        settings="the settings file, params.yaml",
        checked="the file to write when they are valid",
    )
