"""What a trained network says of pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import torch
from torch import nn

from cifar2.data import dataset
from cifar2.data.pictures import Picture, to_tensor
from cifar2.inference import evaluation
from cifar2.inference.checkpoint import Description


class Answer(NamedTuple):
    """The most probable class of a picture, and the probability of each, in the network's order."""

    label: str
    probabilities: dict[str, float]

    @property
    def probability(self) -> float:
        """The probability of the label."""
        return self.probabilities[self.label]


def predict(
    pictures: Iterable[Picture],
    network: nn.Module,
    description: Description,
    *,
    mirror: bool = False,
) -> Iterator[Answer]:
    """Ask a network about pictures, of any size and mode; yield an answer for each, in order.

    `checkpoint.load` gives the network and its description, which says what size it takes. It is
    given as many pictures at a time as in the stage `evaluate`, so images of CIFAR-10 get exactly
    the probabilities of `plots/predictions.csv`. No more than these are in memory.

    Args:
        pictures: see `pictures.to_tensor`.
        mirror: average the logits of each picture and of its mirror image.

    Raises:
        FileError, OSError, ValueError: as `pictures.to_tensor` does.
    """
    device = next(network.parameters()).device
    left = iter(pictures)
    prepared = description.preparation
    count = evaluation.batch_size(prepared.size)
    while batch := [to_tensor(each, prepared.fit, prepared.size) for each in islice(left, count)]:
        images = dataset.normalize(torch.stack(batch).to(device), prepared)
        logits = evaluation.compute_logits(network, images, mirror=mirror)
        for row in logits.softmax(dim=1).tolist():
            probabilities = dict(zip(description.classes, row, strict=True))
            yield Answer(max(probabilities, key=probabilities.__getitem__), probabilities)
