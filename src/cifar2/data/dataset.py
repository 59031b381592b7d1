"""CIFAR-2 as tensors: choose classes, keep and load them, normalise."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from cifar2 import files
from cifar2.errors import FileError, UserError

# Mean and standard deviation of CIFAR-10's training images, scaled to [0, 1], by channel
# (*Deep Learning with PyTorch*, section 7.1.4).
MEAN = (0.4915, 0.4823, 0.4468)
STD = (0.2470, 0.2435, 0.2616)

KEYS = ("images", "labels", "classes", "dataset")  # of a file; the last one is the source


class Dataset(NamedTuple):
    """Labelled images.

    images: uint8 [N, 3, 32, 32], RGB.
    labels: int64 [N], 0 to len(classes) - 1.
    classes: what the labels stand for.
    source: "cifar10" or "synthetic".
    """

    images: Tensor
    labels: Tensor
    classes: list[str]
    source: str


def select(dataset: Dataset, classes: Sequence[str]) -> Dataset:
    """Keep the images of some classes, in their order; label them 0 to k-1 in that of `classes`.

    Raises:
        UserError: if the data set has no such class.
    """
    for name in classes:
        if name not in dataset.classes:
            raise UserError(
                f"data.classes: {name!r} is not in the {dataset.source} data; classes there: "
                f"{', '.join(dataset.classes)}"
            )
    relabel = torch.full((len(dataset.classes),), -1)
    relabel[[dataset.classes.index(name) for name in classes]] = torch.arange(len(classes))
    labels = relabel[dataset.labels]
    chosen = labels >= 0
    images = dataset.images[chosen].contiguous()  # in whatever memory layout they came
    return Dataset(images, labels[chosen], list(classes), dataset.source)


def set_apart(dataset: Dataset, share: float, fold: int) -> tuple[Dataset, Dataset]:
    """Split a data set in two, for validation: return what is left, and a share of each class.

    The images of each class are shuffled, always in the same way. Fold 0 is the first share of
    them, fold 1 the second, and so on. So folds have no image in common, and at a share of 1/k, k
    folds have all images. What a fold holds of a class does not depend on the other classes.

    Raises:
        UserError: if either part has no image of a class.
    """
    held = torch.zeros(len(dataset.labels), dtype=torch.bool)
    for label, name in enumerate(dataset.classes):
        own = (dataset.labels == label).nonzero().flatten()
        shuffled = own[torch.randperm(len(own), generator=torch.Generator().manual_seed(0))]
        first, end = (round(number * share * len(own)) for number in (fold, fold + 1))
        if not 0 < end - first < len(own):
            raise UserError(
                f"data.holdout: fold {fold} of {share:g} has {end - first} of the {len(own)} train"
                f" images of {name!r}"
            )
        held[shuffled[first:end]] = True
    left, apart = (
        dataset._replace(images=dataset.images[chosen], labels=dataset.labels[chosen])
        for chosen in (~held, held)
    )
    return left, apart


def save(dataset: Dataset, path: Path) -> None:
    """Write a data set so that `torch.load(weights_only=True)` reads it."""
    buffer = io.BytesIO()
    torch.save(dict(zip(KEYS, dataset, strict=True)), buffer)
    files.write(path, buffer.getvalue())


def load(path: Path) -> Dataset:
    """Read what `save` wrote.

    Raises:
        MissingFile: if there is no such file.
        FileError: if it is damaged, or holds anything else.
    """
    content = files.load(path)
    try:
        dataset = Dataset(*(content[key] for key in KEYS))
        count = len(dataset.labels)
        if dataset.images.shape != (count, 3, 32, 32) or dataset.images.dtype != torch.uint8:
            raise ValueError("images are not uint8 [N, 3, 32, 32]")
        if dataset.labels.shape != (count,) or dataset.labels.dtype != torch.int64 or not count:
            raise ValueError("labels are not int64 [N]")
        if not 0 <= dataset.labels.min() <= dataset.labels.max() < len(dataset.classes):
            raise ValueError("labels are out of range")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FileError(path, f"not a data set ({error})") from error
    return dataset


def normalize(images: Tensor) -> Tensor:
    """Scale images to [0, 1], subtract CIFAR-10's mean and divide by its standard deviation.

    uint8 [N, 3, 32, 32] → float32 [N, 3, 32, 32] on the same device, `channels_last` in memory:
    convolutions and, far more so, pools are faster in that layout, and keep it (bench/README.md).

    Raises:
        ValueError: for anything but uint8 [N, 3, 32, 32]. Floats between 0 and 1, say, would give
            wrong answers without an error.
    """
    if images.dtype != torch.uint8 or images.shape[1:] != (3, 32, 32):
        kind = f"{str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
        raise ValueError(f"images must be uint8 [N, 3, 32, 32], 0 to 255; these are {kind}")
    images = images.contiguous(memory_format=torch.channels_last)
    mean = torch.tensor(MEAN, device=images.device).view(3, 1, 1)
    std = torch.tensor(STD, device=images.device).view(3, 1, 1)
    return (images / 255 - mean) / std
