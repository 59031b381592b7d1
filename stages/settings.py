"""Check params.yaml before any stage runs: DVC removes a stage's outputs before it starts it."""

from pathlib import Path

import _stage

from cifar2 import device, params


def main(settings: Path) -> None:
    wanted = params.load(settings).train.device
    if wanted not in ("auto", "cpu"):  # which are everywhere; to look for others takes torch
        device.resolve(wanted)


if __name__ == "__main__":
    _stage.run(main, __doc__, settings="the settings file, params.yaml")
