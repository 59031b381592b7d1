"""Keep the chosen classes as tensors: of CIFAR-10, of the stand-in, or of a folder of pictures.

Val is CIFAR-10's test images. With `data.holdout`, val is a share of the train images instead, and
CIFAR-10's test images are test. The test images of all classes are kept, to ask the
network about those that it does not know. A folder's val pictures stand for CIFAR-10's test images;
where it has none, val is the share, and nothing is test.
"""

from __future__ import annotations

from pathlib import Path

from cifar2 import files, params
from cifar2.data import cifar10, folder, synthetic
from cifar2.errors import MissingFile, UserError

HELP = {
    "settings": "the settings file",
    "raw": "the folder that download made",
    "data": "the folder to put train.pt and val.pt into, and test.pt if there is one",
    "whole_val": "the file to write CIFAR-10's test images to, of all classes",
    "sources": "the folder of the folders of pictures that data.source may name",
}


def main(
    settings: Path, raw: Path, data: Path, whole_val: Path, sources: Path | None = None
) -> None:
    run = params.load(settings).data
    if not raw.is_dir():
        raise MissingFile(raw)
    import torch

    from cifar2.data import dataset

    if own := run.source not in params.BUILT_IN:
        if not sources:
            raise UserError(f"data.source: {run.source!r}: there are no folders of pictures here")
        found = folder.find(sources, run.source, run.holdout)
        source, names, arrays = run.source, found.classes, folder.read(found, run.fit)
    else:
        source, names, arrays = read(raw)
    whole = {
        part: dataset.Dataset(torch.from_numpy(images), torch.from_numpy(labels), names, source)
        for part, (images, labels) in arrays.items()
    }
    others = whole.get("val")
    if run.holdout:
        whole |= {"test": others} if others else {}
        split = dataset.set_apart_by_content if own else dataset.set_apart
        whole["train"], whole["val"] = split(whole["train"], run.holdout, run.fold)
    chosen = {name: dataset.select(each, run.classes) for name, each in whole.items()}
    if own:
        normalization = dataset.measure_normalization(chosen["train"].images)
        chosen = {k: each._replace(normalization=normalization) for k, each in chosen.items()}
    with files.folder(data) as part:
        for name, each in chosen.items():
            dataset.save(each, part / f"{name}.pt")
    dataset.save(others or whole["val"], whole_val)


def read(raw: Path) -> tuple[str, list[str], dict[str, folder.Labelled]]:
    """Read CIFAR-10, or the stand-in: return which, its classes, and train and val."""
    stand_in = raw / synthetic.FILE
    if stand_in.exists():
        parts = {part: synthetic.read(stand_in, part) for part in ("train", "val")}
        return "synthetic", list(synthetic.CLASSES), parts
    images, labels, names = cifar10.read(raw, train=True)
    return "cifar10", names, {"train": (images, labels), "val": cifar10.read(raw, train=False)[:2]}
