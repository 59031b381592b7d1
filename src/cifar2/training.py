"""The training loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cifar2 import evaluation


class Epoch(NamedTuple):
    """How an epoch went: mean cross-entropies in nats, accuracies as fractions.

    The train figures are running ones, from the batches as they were trained on; the penalty is
    not in the loss, so that train and val compare. The val figures are those at the epoch's end.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float


def fit(
    model: nn.Module,
    train: tuple[Tensor, Tensor],
    val: tuple[Tensor, Tensor],
    *,
    epochs: int,
    lr: float,
    batch_size: int,
    l2: float,
    seed: int,
) -> Iterator[Epoch]:
    """Train `model` in place by stochastic gradient descent; yield after each epoch.

    The chapter's loop (*Deep Learning with PyTorch*, sections 8.4.1 and 8.5.2): cross-entropy
    plus l2 * (the sum of the squares of all parameters).

    Args:
        train, val: normalised images, float32 [N, 3, 32, 32], and labels, int64 [N], on the
            model's device.
        seed: of the order of the images, drawn anew each epoch; the same on every device.
            Dropout draws from torch's global generator.
    """
    images, labels = train
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    order = torch.Generator().manual_seed(seed)
    for epoch in range(1, epochs + 1):
        model.train()
        loss_sum = torch.zeros((), device=images.device)
        correct = torch.zeros((), device=images.device)
        for batch in torch.randperm(len(labels), generator=order).split(batch_size):
            batch_images, batch_labels = images[batch], labels[batch]
            logits = model(batch_images)
            loss = F.cross_entropy(logits, batch_labels)
            penalty = l2 * sum(p.pow(2).sum() for p in model.parameters()) if l2 else 0.0
            optimizer.zero_grad()
            (loss + penalty).backward()
            optimizer.step()
            loss_sum += loss.detach() * len(batch)
            correct += (logits.argmax(dim=1) == batch_labels).sum()
        val_logits = evaluation.predict(model, val[0])
        yield Epoch(
            epoch,
            train_loss=loss_sum.item() / len(labels),
            train_accuracy=correct.item() / len(labels),
            val_loss=evaluation.loss(val_logits, val[1]),
            val_accuracy=evaluation.accuracy(val_logits, val[1]),
        )
