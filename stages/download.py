"""Fetch CIFAR-10's batch files, verified, or draw the stand-in."""

import logging
import os
from pathlib import Path

from cifar2 import files, params
from cifar2.data import download, synthetic
from cifar2.errors import UserError

HELP = {"settings": "the settings file", "raw": "the folder to make"}

log = logging.getLogger(__name__)


def main(settings: Path, raw: Path) -> None:
    source = params.load(settings).data.source
    if source not in params.BUILT_IN:  # a folder of pictures
        with files.folder(raw) as part:
            return files.write(part / "nothing", b"The pictures are in sources/.\n")
    if source == "synthetic":
        _draw(raw)
        return
    address = os.environ.get("CIFAR10_URL")
    advice = "set CIFAR10_URL to a copy, or run with -S data.source=synthetic"
    try:
        download.fetch(raw, address)
    except download.NoNetwork as error:
        if source == "cifar10":
            raise UserError(f"{error}; {advice}") from error
        log.warning("%s; %s", error, advice)
        log.warning(
            "THIS RUN USES THE SYNTHETIC STAND-IN, NOT CIFAR-10: NO MIRROR CAN BE REACHED.\n"
            "Once you have a network, or CIFAR10_URL, run `dvc repro -f download` and `dvc repro`."
        )
        _draw(raw)
    except UserError as error:
        if not address:
            raise UserError(f"{error}; {advice}") from error
        raise UserError(
            f"CIFAR10_URL: {error}; set it to an http(s) or file URL or a path, of"
            " cifar-10-python.tar.gz or of the folder in it, or unset it to try the mirrors"
        ) from error


def _draw(raw: Path) -> None:
    with files.folder(raw) as part:
        synthetic.write(part / synthetic.FILE)
