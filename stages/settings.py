"""Check params.yaml and one's own pictures, before DVC removes the outputs of any other stage."""

import json
import shlex
from pathlib import Path

import _stage

from cifar2 import files, params
from cifar2.data import folder, pictures
from cifar2.errors import FileError, UserError
from cifar2.inference import device

PER_CLASS = 6000  # images of each class, in CIFAR-10
HELP = {
    "settings": "the settings file, params.yaml",
    "checked": "the file to write if the settings are valid",
    "sources": "the folder of the folders of pictures that data.source may name",
    "weights": "the folder with a folder of given weights for each name of train.start",
}


def main(settings: Path, checked: Path, sources: Path, weights: Path) -> None:
    try:
        run = params.load(settings)
    except UserError as error:
        raise UserError(f"{error}{_networks_not_in_git()}") from error
    if run.train.device not in ("auto", "cpu"):  # to look for others imports torch
        device.resolve(run.train.device)
    _check_data(run.data, sources)
    if run.train.start != "none":
        _check_weights(weights / run.train.start, run)
    # The next stage depends on this file, so DVC runs this stage first.
    files.write(checked, b"the settings are valid\n")


def _check_weights(folder: Path, run: params.Params) -> None:
    """Look whether given weights are there and what they are of, without importing torch."""
    try:
        with files.reading(folder / "model.json") as content:
            given = json.loads(content)
            model, size = given["model"], given.get("size", 32)
        with files.reading(folder / "model.pt"):
            pass
    except FileError as error:
        hint = "it takes a model.pt and a model.json, as models/ has them"
        if _stage.scratch(folder).exists() and not folder.exists():
            hint = f"`dvc add {folder.as_posix()}` first, since this is a copy"
        raise UserError(f"train.start: {error}; {hint}") from error
    if model != run.model.name:
        known = f"a network {model!r}, but model.name is {run.model.name!r}"
        raise UserError(f"train.start: {folder}: {known}")
    if size != run.data.size:
        raise UserError(f"train.start: {folder}: of {size} pixels; choose data.size={size}")


def _check_data(data: params.Data, sources: Path) -> None:
    """Check the settings of the data; read one's own pictures, so that none is broken."""
    if data.source in params.BUILT_IN:
        names = params.chosen_classes(data.classes, list(params.CIFAR10), "cifar10")
        pictures.check_memory(len(names) * PER_CLASS, data.size)
        return
    root = Path("sources") / data.source
    if not (sources / data.source).exists() and (original := _stage.scratch(root)).exists():
        what = f"`dvc add {shlex.quote(root.as_posix())}` first, since this is a copy"
        if original.is_symlink():
            what = f"{root} is a link, which DVC does not copy; move the pictures there instead"
        raise UserError(f"data.source: {what}")
    found = folder.find(sources, data.source, data.holdout)
    params.chosen_classes(data.classes, found.classes, data.source)
    pictures.check_memory(sum(map(len, found.parts.values())), data.size)
    folder.read(found, data.fit, size=32)  # the smallest, to find those that can't be read


def _networks_not_in_git() -> str:
    """Name the networks that lie in the main repository alone; DVC copies what Git knows."""
    folder = Path("src/cifar2/models")
    copied = Path(__file__).resolve().parent.parent / folder
    main = _stage.scratch(folder)
    left = [file.stem for file in sorted(main.glob("*.py")) if not (copied / file.name).exists()]
    return f"; {', '.join(left)}: `git add` the file first, since this is a copy" if left else ""
