"""Keep the chosen classes as tensors: of CIFAR-10, of the stand-in, or of a folder of pictures.

Val is CIFAR-10's test images. With `data.holdout`, val is a share of the train images instead, and
CIFAR-10's test images are test. The test images of all classes are kept, to ask the
network about those that it does not know. A folder's val pictures take the place of CIFAR-10's test
images. Without them, val is the share, and there is no test.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

from cifar2 import files, params
from cifar2.data import cifar10, folder, pictures, synthetic
from cifar2.errors import MissingFile

if TYPE_CHECKING:
    from cifar2.data.dataset import Dataset

HELP = {
    "settings": "the settings file",
    "raw": "the folder that download made",
    "data": "the folder to put train.pt and val.pt into, and test.pt if there is one",
    "whole_val": "the file to write CIFAR-10's test images to, of all classes",
    "sources": "the folder of the folders of pictures that data.source may name",
    "facts": "the file to write the counts of images to, JSON",
}


def main(
    settings: Path, raw: Path, data: Path, whole_val: Path, sources: Path, facts: Path
) -> None:
    options = params.load(settings).data
    if not raw.is_dir():
        raise MissingFile(raw)
    import torch

    from cifar2.data import dataset

    prepared = dataset.CIFAR10._replace(size=options.size, fit=options.fit)
    numbers, sides = None, list[int]()
    if own := options.source not in params.BUILT_IN:
        found = folder.find(sources, options.source, options.holdout)
        source, names = options.source, found.classes
        arrays, numbers, sides = folder.read(found, options.fit, options.size)
        every = [label for _, of_part in arrays.values() for label in of_part]
        wanted = params.chosen_classes(options.classes, names, source)
        sides = [s for s, label in zip(sides, every, strict=True) if names[label] in wanted]
    else:
        source, names, arrays = read(raw)
    whole = {}
    for part, (images, labels) in arrays.items():
        tensors = torch.from_numpy(images), torch.from_numpy(labels)
        whole[part] = dataset.Dataset(*tensors, names, source, prepared)
    given_val = whole.get("val")
    if options.holdout:
        whole |= {"test": given_val} if given_val else {}
        whole["train"], whole["val"] = dataset.set_apart(
            whole["train"], options.holdout, options.fold, numbers
        )
    chosen = {part: _enlarge(dataset.select(each, options.classes)) for part, each in whole.items()}
    if own:
        mean, std = dataset.measure(chosen["train"].images)
        prepared = prepared._replace(mean=mean, std=std)
        chosen = {part: each._replace(preparation=prepared) for part, each in chosen.items()}
    with files.folder(data) as place:
        for name, each in chosen.items():
            dataset.save(each, place / f"{name}.pt")
    dataset.save(_enlarge(given_val or whole["val"]), whole_val)
    content = dataset.describe(chosen)
    if own:
        middle = int(statistics.median(sides))
        content["shorter_side"] = {"least": min(sides), "median": middle, "most": max(sides)}
    files.write(facts, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def read(raw: Path) -> tuple[str, list[str], dict[str, folder.Labelled]]:
    """Read CIFAR-10, or the stand-in: return which, its classes, and train and val."""
    stand_in = raw / synthetic.FILE
    if stand_in.exists():
        parts = {part: synthetic.read(stand_in, part) for part in ("train", "val")}
        return "synthetic", list(synthetic.CLASSES), parts
    images, labels, names = cifar10.read(raw, train=True)
    return "cifar10", names, {"train": (images, labels), "val": cifar10.read(raw, train=False)[:2]}


def _enlarge(data: Dataset) -> Dataset:
    """Bring CIFAR-10's images to the size that is wanted, as `cifar2 predict` does."""
    import torch

    size = data.preparation.size
    if data.images.shape[-1] == size:
        return data
    return data._replace(
        images=torch.stack([pictures.to_tensor(image, size=size) for image in data.images])
    )
