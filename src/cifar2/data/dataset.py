"""CIFAR-2 as tensors: choose classes, keep and load them, normalise."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cifar2 import files, params
from cifar2.errors import FileError, UserError


class Normalization(NamedTuple):
    """Mean and standard deviation of train images, scaled to [0, 1], by channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


# *Deep Learning with PyTorch*, section 7.1.4.
CIFAR10 = Normalization(mean=(0.4915, 0.4823, 0.4468), std=(0.2470, 0.2435, 0.2616))
# Of a file; "dataset" is the source. A last one, "normalization", is there if it isn't CIFAR-10's.
KEYS = ("images", "labels", "classes", "dataset")


class Dataset(NamedTuple):
    """Labelled images.

    images: uint8 [N, 3, 32, 32], RGB.
    labels: int64 [N], 0 to len(classes) - 1.
    classes: what the labels stand for.
    source: "cifar10", "synthetic", or the name of a folder.
    normalization: that of the train images.
    """

    images: Tensor
    labels: Tensor
    classes: list[str]
    source: str
    normalization: Normalization = CIFAR10


def select(dataset: Dataset, classes: Sequence[str]) -> Dataset:
    """Keep the images of some classes, in their order; label them 0 to k-1 in that of `classes`.

    Raises:
        UserError: if the data set has no such class.
    """
    classes = params.chosen_classes(classes, dataset.classes, dataset.source)
    relabel = torch.full((len(dataset.classes),), -1)
    relabel[[dataset.classes.index(name) for name in classes]] = torch.arange(len(classes))
    labels = relabel[dataset.labels]
    chosen = labels >= 0
    images = dataset.images[chosen].contiguous()  # in whatever memory layout they came
    return Dataset(images, labels[chosen], classes, dataset.source)


def set_apart(dataset: Dataset, share: float, fold: int) -> tuple[Dataset, Dataset]:
    """Split a data set in two, for validation: return what is left, and a share of each class.

    The images of each class are shuffled, always in the same way. Fold 0 is the first share of
    them, fold 1 the second, and so on. So folds have no image in common, and at a share of 1/k, k
    folds have all images. What a fold holds of a class does not depend on the other classes.

    Raises:
        UserError: if either part has no image of a class.
    """
    held = torch.zeros(len(dataset.labels), dtype=torch.bool)
    for label in range(len(dataset.classes)):
        own = (dataset.labels == label).nonzero().flatten()
        shuffled = own[torch.randperm(len(own), generator=torch.Generator().manual_seed(0))]
        first, end = (round(number * share * len(own)) for number in (fold, fold + 1))
        held[shuffled[first:end]] = True
    return _split(dataset, held, f"fold {fold} of {share:g}")


def set_apart_by_content(dataset: Dataset, share: float, fold: int) -> tuple[Dataset, Dataset]:
    """Split a data set in two, for validation, by the pixels: return what is left, and the share.

    The first bits of an image's SHA-256 are a number from 0 to 1. Fold 0 has the images below the
    share, fold 1 those below twice the share, and so on. So copies of an image are in one part, and
    more images move none of the others. Raises as `set_apart` does.
    """
    pixels = dataset.images.contiguous().numpy()
    numbers = [int.from_bytes(sha256(image).digest()[:6]) / 2**48 for image in pixels]
    held = torch.tensor([int(number / share) == fold for number in numbers])
    return _split(dataset, held, f"fold {fold} of {share:g}")


def _split(dataset: Dataset, held: Tensor, which: str) -> tuple[Dataset, Dataset]:
    for label, name in enumerate(dataset.classes):
        own = held[dataset.labels == label]
        if not 0 < own.sum() < len(own):
            count = f"{own.sum()} of the {len(own)} train images of {name!r}"
            raise UserError(f"data.holdout: {which} has {count}")
    left, apart = (
        dataset._replace(images=dataset.images[chosen], labels=dataset.labels[chosen])
        for chosen in (~held, held)
    )
    return left, apart


def measure_normalization(images: Tensor) -> Normalization:
    """Return that of images, uint8 [N, 3, 32, 32], to four decimals as CIFAR-10's.

    The deviation of a channel with a single value is 1, so that one can divide by it.
    """
    channels = [images[:, channel].flatten() for channel in range(3)]
    counts = torch.stack([each.bincount(minlength=256) for each in channels]).double()
    shares, values = counts / counts.sum(1, keepdim=True), torch.arange(256).double() / 255
    mean = shares @ values
    std = (shares @ values**2 - mean**2).clamp(min=0).sqrt()
    rounded = [[round(each, 4) for each in row.tolist()] for row in (mean, std)]
    return Normalization(tuple(rounded[0]), tuple(each or 1.0 for each in rounded[1]))


def read_normalization(content: Mapping[str, Any]) -> Normalization:
    """Return what a file has under "normalization", by default CIFAR-10's.

    Raises:
        KeyError, TypeError, ValueError: if that is something else.
    """
    found = content.get("normalization", CIFAR10._asdict())
    mean, std = (tuple(map(float, found[key])) for key in Normalization._fields)
    if not len(mean) == len(std) == 3 or not min(std) > 0:
        raise ValueError("normalization is not three means and three deviations above 0")
    return Normalization(mean, std)


def save(dataset: Dataset, path: Path) -> None:
    """Write a data set so that `torch.load(weights_only=True)` reads it."""
    content = dataset._asdict()
    content["dataset"], normalization = content.pop("source"), content.pop("normalization")
    if normalization != CIFAR10:
        content["normalization"] = normalization._asdict()
    buffer = io.BytesIO()
    torch.save(content, buffer)
    files.write(path, buffer.getvalue())


def load(path: Path) -> Dataset:
    """Read what `save` wrote.

    Raises:
        MissingFile: if there is no such file.
        FileError: if it is damaged, or holds anything else.
    """
    content = files.load(path)
    try:
        values = (content[key] for key in KEYS)
        dataset = Dataset(*values)._replace(normalization=read_normalization(content))
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


def normalize(images: Tensor, normalization: Normalization = CIFAR10) -> Tensor:
    """Scale images to [0, 1], subtract a mean and divide by a standard deviation.

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
    mean, std = (torch.tensor(each, device=images.device).view(3, 1, 1) for each in normalization)
    return (images / 255 - mean) / std
