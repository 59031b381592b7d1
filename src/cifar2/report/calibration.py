"""Whether a network is right as often as its probabilities say.

Logits are float32 [N, num_classes] and labels int64 [N].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

BINS = 15  # of equal width, as in the paper below
COLDEST, HOTTEST = 0.01, 100.0  # the temperatures between which one is looked for


class Bin(NamedTuple):
    """The answers whose confidence (probability) is in one interval: means, and their number."""

    confidence: float
    accuracy: float
    images: int


class Calibration(NamedTuple):
    """How well confidence predicts accuracy."""

    bins: list[Bin]  # the reliability diagram
    error: float  # the expected calibration error
    temperature: float  # the number by which to divide the logits
    error_at_temperature: float  # the expected calibration error of the divided logits


def measure(logits: Tensor, labels: Tensor) -> Calibration:
    """Measure the calibration of logits against labels."""
    found, best = bins(logits, labels), temperature(logits, labels)
    return Calibration(found, error(found), best, error(bins(logits / best, labels)))


def bins(logits: Tensor, labels: Tensor) -> list[Bin]:
    """Return a reliability diagram (Guo et al., *On Calibration of Modern Neural Networks*, 2017,
    section 2): the answers by confidence, in 15 intervals from 0 to 1, without the empty ones."""
    confidences, answers = logits.double().softmax(dim=1).max(dim=1)
    right = (answers == labels).double()
    numbers = (confidences * BINS).long().clamp(max=BINS - 1)
    return [
        Bin(confidences[inside].mean().item(), right[inside].mean().item(), int(inside.sum()))
        for inside in (numbers == number for number in numbers.unique())
    ]


def error(bins: Sequence[Bin]) -> float:
    """Return the expected calibration error (Guo et al., section 2): the distance of confidence and
    accuracy in a bin, averaged over all answers."""
    total = sum(each.images for each in bins)
    return sum(each.images * abs(each.confidence - each.accuracy) for each in bins) / total


def temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the number by which to divide logits so that their cross-entropy is smallest.

    This is temperature scaling (Guo et al., section 4.2). The cross-entropy is convex in 1 / T, so
    its derivative has one zero, which is found by halving an interval. Above 1 the network was too
    sure, below 1 not sure enough. A network without a mistake can't be too sure; it gets 0.01.
    """
    logits = logits.double()
    of_label = logits.gather(1, labels[:, None]).squeeze(1)
    low, high = 1 / HOTTEST, 1 / COLDEST
    for _ in range(60):
        middle = (low + high) / 2
        expected = ((logits * middle).softmax(dim=1) * logits).sum(dim=1)
        if (expected - of_label).mean() > 0:
            high = middle
        else:
            low = middle
    return 1 / high
