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
    bfloat16: bool = False,
) -> Iterator[Epoch]:
    """Train `model` in place by stochastic gradient descent; yield after each epoch.

    The chapter's loop (*Deep Learning with PyTorch*, sections 8.4.1 and 8.5.2): cross-entropy
    plus l2 * (the sum of the squares of all parameters).

    Args:
        train, val: normalised images, float32 [N, 3, 32, 32], and labels, int64 [N], on the
            model's device.
        seed: of the order of the images, drawn anew each epoch; the same on every device.
            Dropout draws from torch's global generator.
        bfloat16: compute the forward pass in it where PyTorch's autocast deems that safe.
    """
    images, labels = train
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    order = torch.Generator().manual_seed(seed)
    for epoch in range(1, epochs + 1):
        model.train()
        permutation = torch.randperm(len(labels), generator=order).to(labels.device)
        outputs = []
        for batch in permutation.split(batch_size):
            with torch.autocast(images.device.type, torch.bfloat16, enabled=bfloat16):
                logits = model(images[batch])
                loss = F.cross_entropy(logits, labels[batch])
            if l2:
                loss = loss + l2 * sum(p.pow(2).sum() for p in model.parameters())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            outputs.append(logits.detach().float())
        # Figures come from the logits at the end: within an epoch nothing waits for the device.
        train_logits, train_labels = torch.cat(outputs), labels[permutation]
        val_logits, val_labels = evaluation.predict(model, val[0]), val[1]
        yield Epoch(
            epoch,
            train_loss=evaluation.loss(train_logits, train_labels),
            train_accuracy=evaluation.accuracy(train_logits, train_labels),
            val_loss=evaluation.loss(val_logits, val_labels),
            val_accuracy=evaluation.accuracy(val_logits, val_labels),
        )
