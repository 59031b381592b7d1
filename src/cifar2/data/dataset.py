"""Labelled images as tensors: choose classes, split, count, keep, load and normalize them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cifar2 import files, params
from cifar2.errors import FileError, UserError


class Preparation(NamedTuple):
    """What is done to a picture before a network sees it.

    mean, std: of each channel of the train images, from 0 to 1; they normalize a picture.
    size: the height and the width, in pixels.
    fit: what happens to a picture that is not square, as in `pictures.to_tensor`.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: int = 32
    fit: params.Fit = "crop"


# *Deep Learning with PyTorch*, section 7.1.4.
CIFAR10 = Preparation(mean=(0.4915, 0.4823, 0.4468), std=(0.2470, 0.2435, 0.2616))
# The keys of a saved file. "dataset" is the source. "preparation" is added where it differs from
# that of CIFAR-10.
KEYS = ("images", "labels", "classes", "dataset")


class Dataset(NamedTuple):
    """Labelled images.

    images: uint8 [N, 3, size, size], RGB.
    labels: int64 [N], 0 to len(classes) - 1.
    classes: what the labels stand for.
    source: "cifar10", "synthetic", or the name of a folder.
    preparation: how the pictures were resized, and how to normalize them.
    """

    images: Tensor
    labels: Tensor
    classes: list[str]
    source: str
    preparation: Preparation = CIFAR10


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
    return dataset._replace(images=images, labels=labels[chosen], classes=classes)


def set_apart(
    dataset: Dataset, share: float, fold: int, numbers: NDArray[np.float64] | None = None
) -> tuple[Dataset, Dataset]:
    """Split a data set in two, for validation: return what is left, and a share of each class.

    The images of each class are shuffled, always in the same way. Fold 0 is the first share of
    them, fold 1 the second, and so on. So folds have no image in common, and at a share of 1/k, k
    folds have all images. What a fold holds of a class does not depend on the other classes.

    With `numbers`, from 0 to 1 for each image, fold 0 has the images whose number is below the
    share, fold 1 those below twice the share, and so on. Then more images move none of the others.

    Raises:
        UserError: if either part has no image of a class.
    """
    if numbers is None:
        held = torch.zeros(len(dataset.labels), dtype=torch.bool)
        for label in range(len(dataset.classes)):
            own = (dataset.labels == label).nonzero().flatten()
            shuffled = own[torch.randperm(len(own), generator=torch.Generator().manual_seed(0))]
            first, end = (round(number * share * len(own)) for number in (fold, fold + 1))
            held[shuffled[first:end]] = True
    else:
        held = torch.from_numpy((numbers / share).astype(int) == fold)
    for label, name in enumerate(dataset.classes):
        own = held[dataset.labels == label]
        if not 0 < own.sum() < len(own):
            count = f"{own.sum()} of the {len(own)} train images of {name!r}"
            hint = "both parts need one; choose another share, or another fold"
            raise UserError(f"data.holdout: fold {fold} of {share:g} has {count}; {hint}")
    left, apart = (
        dataset._replace(images=dataset.images[chosen], labels=dataset.labels[chosen])
        for chosen in (~held, held)
    )
    return left, apart


def describe(parts: Mapping[str, Dataset]) -> dict[str, dict[str, Any]]:
    """Count the images of each part: of each class, the grey ones, and exact copies.

    "copies" is how many have the pixels of an earlier image of the same part. "in_train" and
    "in_val" are how many have those of an image of that part.
    """
    facts, seen = {}, dict[str, set[bytes]]()
    for part, (images, labels, classes, *_) in parts.items():
        counts = labels.bincount(minlength=len(classes)).tolist()
        digests = [sha256(image).digest() for image in images.contiguous().numpy()]
        facts[part] = {
            "images": dict(zip(classes, counts, strict=True)),
            "grey": int((images == images[:, :1]).flatten(1).all(dim=1).sum()),
            "copies": len(digests) - len(set(digests)),
            **{f"in_{name}": sum(d in earlier for d in digests) for name, earlier in seen.items()},
        }
        seen[part] = set(digests)
    return facts


def measure(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation of uint8 [N, 3, H, W], by channel, to four decimals as CIFAR-10's.

    The deviation of a channel with a single value is 1, so that one can divide by it.
    """
    channels = [images[:, channel].flatten() for channel in range(3)]
    counts = torch.stack([each.bincount(minlength=256) for each in channels]).double()
    shares, values = counts / counts.sum(1, keepdim=True), torch.arange(256).double() / 255
    mean = shares @ values
    std = (shares @ values**2 - mean**2).clamp(min=0).sqrt()
    rounded = [[round(each, 4) for each in row.tolist()] for row in (mean, std)]
    return tuple(rounded[0]), tuple(each or 1.0 for each in rounded[1])


def read_preparation(content: Mapping[str, Any]) -> Preparation:
    """Return the preparation in a file's fields; those that are missing are CIFAR-10's.

    Raises:
        TypeError, ValueError: if a field is unknown, or its value is not allowed.
    """
    found = CIFAR10._replace(**content)
    mean, std = (tuple(map(float, each)) for each in found[:2])
    if not len(mean) == len(std) == 3 or not min(std) > 0:
        raise ValueError("normalization is not three means and three deviations above 0")
    if found.size not in get_args(params.Size) or found.fit not in get_args(params.Fit):
        raise ValueError(f"size {found.size!r} or fit {found.fit!r} is unknown")
    return found._replace(mean=mean, std=std)


def save(dataset: Dataset, path: Path) -> None:
    """Write a data set so that `torch.load(weights_only=True)` reads it."""
    content = dataset._asdict()
    content["dataset"], preparation = content.pop("source"), content.pop("preparation")
    if preparation != CIFAR10:
        content["preparation"] = preparation._asdict()
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
        preparation = read_preparation(content.get("preparation", {}))
        dataset = Dataset(*values)._replace(preparation=preparation)
        count, size = len(dataset.labels), preparation.size
        if dataset.images.shape != (count, 3, size, size) or dataset.images.dtype != torch.uint8:
            raise ValueError(f"images are not uint8 [N, 3, {size}, {size}]")
        if dataset.labels.shape != (count,) or dataset.labels.dtype != torch.int64 or not count:
            raise ValueError("labels are not int64 [N]")
        if not 0 <= dataset.labels.min() <= dataset.labels.max() < len(dataset.classes):
            raise ValueError("labels are out of range")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FileError(path, f"not a data set ({error})") from error
    return dataset


def normalize(images: Tensor, preparation: Preparation = CIFAR10) -> Tensor:
    """Scale images to [0, 1], subtract a mean and divide by a standard deviation.

    uint8 [N, 3, size, size] → float32, the same shape and device, `channels_last` in memory:
    convolutions and, far more so, pools are faster in that layout, and keep it (bench/README.md).

    Raises:
        ValueError: for anything but uint8 [N, 3, size, size]. Floats between 0 and 1, say, would
            give wrong answers without an error.
    """
    size = preparation.size
    if images.dtype != torch.uint8 or images.shape[1:] != (3, size, size):
        kind = f"{str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
        raise ValueError(f"images must be uint8 [N, 3, {size}, {size}], 0 to 255; these are {kind}")
    images = images.contiguous(memory_format=torch.channels_last)
    mean, std = (torch.tensor(each, device=images.device).view(3, 1, 1) for each in preparation[:2])
    return (images / 255).sub_(mean).div_(std)  # in place, to save two copies
