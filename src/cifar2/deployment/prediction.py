"""What a trained network says of pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import torch
from torch import nn

from cifar2.data import dataset
from cifar2.deployment.pictures import Fit, Picture, to_tensor
from cifar2.inference import evaluation
from cifar2.inference.checkpoint import Card


class Answer(NamedTuple):
    """A network's answer about a picture.

    label: the class of the highest probability.
    probabilities: that of each class, in the order of the network's classes.
    """

    label: str
    probabilities: dict[str, float]

    @property
    def probability(self) -> float:
        """The probability of the label."""
        return self.probabilities[self.label]


def predict(
    pictures: Iterable[Picture],
    network: nn.Module,
    card: Card,
    *,
    fit: Fit = "crop",
    mirror: bool = False,
) -> Iterator[Answer]:
    """Ask a network about pictures, of any size and mode; yield an answer for each, in order.

    The network gets 100 pictures at once, as in the stage `evaluate`, and only these are in memory.
    It and its card come from `checkpoint.load`. Pictures of CIFAR-10 get the probabilities that
    `plots/predictions.csv` has.

    Args:
        pictures, fit: see `pictures.to_tensor`.
        mirror: average the logits of each picture and of its mirror image.

    Raises:
        FileError, OSError, ValueError: as `pictures.to_tensor` does.
    """
    device = next(network.parameters()).device
    left = iter(pictures)
    while batch := [to_tensor(picture, fit) for picture in islice(left, evaluation.BATCH_SIZE)]:
        images = dataset.normalize(torch.stack(batch).to(device))
        logits = evaluation.predict(network, images, mirror=mirror)
        for row in logits.softmax(dim=1).tolist():
            probabilities = dict(zip(card.classes, row, strict=True))
            yield Answer(max(probabilities, key=probabilities.__getitem__), probabilities)
