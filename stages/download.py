"""Fetch CIFAR-10's batch files, verified, or draw the stand-in."""

import logging
import os
from pathlib import Path

import _stage

from cifar2 import cifar10, files, params, synthetic

log = logging.getLogger(__name__)


def main(settings: Path, raw: Path) -> None:
    source = params.load(settings).data.source
    if source == "synthetic":
        _draw(raw)
        return
    # DVC's cache knows files by their MD5, and so do we: what was downloaded once need not be
    # again, though DVC removes data/raw before this stage and an edit of the code runs it anew.
    store = Path(os.environ.get("DVC_ROOT", ".")) / ".dvc/cache/files/md5"
    try:
        cifar10.fetch(raw, os.environ.get("CIFAR10_URL"), store)
    except cifar10.NoNetwork as error:
        if source == "cifar10":
            raise
        log.warning("%s", error)
        log.warning(
            "THIS RUN USES THE SYNTHETIC STAND-IN, NOT CIFAR-10: NO ADDRESS CAN BE REACHED.\n"
            "It stays until you have a network, and run `dvc repro -f download` and `dvc repro`."
        )
        _draw(raw)


def _draw(raw: Path) -> None:
    with files.folder(raw) as part:
        synthetic.write(part / synthetic.FILE)


if __name__ == "__main__":
    _stage.run(main, __doc__, settings="the settings file", raw="the folder to make")
