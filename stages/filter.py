"""Keep the chosen classes of CIFAR-10, or of the stand-in, as tensors.

Val is CIFAR-10's test images. With `data.holdout`, val is a share of the train images instead, and
CIFAR-10's test images are test. The test images of all classes are kept, to ask the
network about those that it does not know.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cifar2 import files, params
from cifar2.data import cifar10, synthetic
from cifar2.errors import MissingFile

if TYPE_CHECKING:
    from cifar2.data.dataset import Dataset


HELP = {
    "settings": "the settings file",
    "raw": "the folder that download made",
    "data": "the folder to put train.pt and val.pt into, and test.pt if there is one",
    "whole_val": "the file to write CIFAR-10's test images to, of all classes",
}


def main(settings: Path, raw: Path, data: Path, whole_val: Path) -> None:
    run = params.load(settings)
    if not raw.is_dir():
        raise MissingFile(raw)
    from cifar2.data import dataset

    whole = {"train": read(raw, train=True), "val": read(raw, train=False)}
    chosen = {name: dataset.select(each, run.data.classes) for name, each in whole.items()}
    if run.data.holdout:
        train, held = dataset.set_apart(chosen["train"], run.data.holdout, run.data.fold)
        chosen = {"train": train, "val": held, "test": chosen["val"]}
    with files.folder(data) as part:
        for name, each in chosen.items():
            dataset.save(each, part / f"{name}.pt")
    dataset.save(whole["val"], whole_val)


def read(raw: Path, train: bool) -> Dataset:
    """Read the train or the test images of CIFAR-10, or of the stand-in, with all classes."""
    import torch

    from cifar2.data.dataset import Dataset

    if (raw / synthetic.FILE).exists():
        images, labels = synthetic.read(raw / synthetic.FILE, "train" if train else "val")
        names, source = list(synthetic.CLASSES), "synthetic"
    else:
        images, labels, names = cifar10.read(raw, train=train)
        source = "cifar10"
    return Dataset(torch.from_numpy(images), torch.from_numpy(labels), names, source)
