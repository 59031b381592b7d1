"""What a trained network answers: its logits, their accuracy and their loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Small enough that every activation is below 32 MiB. For larger blocks glibc's malloc asks the
# kernel for new pages each time, which costs more than the arithmetic (bench/README.md).
BATCH_SIZE = 100  # of images of 32 pixels


def batch_size(size: int) -> int:
    """Return how many images of size×size pixels are evaluated at once."""
    return BATCH_SIZE * 32**2 // size**2


@torch.no_grad()
def compute_logits(
    model: nn.Module, images: Tensor, *, mirror: bool, upright: bool = False
) -> Tensor:
    """Return the logits [N, num_classes] for normalized images [N, 3, size, size].

    Dropout is off and batch normalisation uses its running statistics; the model is left in
    evaluation mode.

    Args:
        mirror: average the logits of each image and of its mirror image (left and right).
        upright: evaluate the unrotated image only, where the network averages over rotations. This
            is faster.
    """
    model.eval()
    answer_to: Callable[[Tensor], Tensor] = getattr(model, "upright", model) if upright else model
    logits = []
    for batch in images.split(batch_size(images.shape[-1])):
        answer = answer_to(batch)
        logits.append((answer + answer_to(batch.flip(3))) / 2 if mirror else answer)
    return torch.cat(logits)


def per_class(logits: Tensor, labels: Tensor) -> Iterator[list[float | None]]:
    """Yield the recalls of the k classes, their precisions, and their F1; None where one is 0 / 0.

    Recall is a share of the images of a class, precision of the answers that name it; F1 is their
    harmonic mean. Logits are [N, k], labels [N].
    """
    answers = logits.argmax(dim=1)
    parts = labels, answers, labels[answers == labels]
    images, given, right = (each.bincount(minlength=logits.shape[1]).double() for each in parts)
    for ratio in (right / images, right / given, 2 * right / (images + given)):
        yield [None if math.isnan(value) else value for value in ratio.tolist()]


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Return the fraction of the logits [N, k] whose largest is at the label [N]."""
    return (logits.argmax(dim=1) == labels).double().mean().item()


def loss(logits: Tensor, labels: Tensor) -> float:
    """Return the mean cross-entropy of logits [N, k] against labels [N], in nats."""
    return F.cross_entropy(logits, labels).item()
