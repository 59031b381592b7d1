"""The training loop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

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


@dataclass
class State:
    """A training between two epochs: all that it takes to go on from there, bit for bit.

    order: the generator of the images' order; `epoch`: the last one finished.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    order: torch.Generator
    epoch: int = 0

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain containers that share memory with the model's."""
        return {
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "order": self.order.get_state(),
            "random": [module.get_rng_state() for module in self._random_modules()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned, torch's global generators included."""
        self.epoch = state["epoch"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.order.set_state(state["order"])
        for module, random in zip(self._random_modules(), state["random"], strict=True):
            module.set_rng_state(random)

    def _random_modules(self) -> list[Any]:
        device = next(self.model.parameters()).device
        return [torch] if device.type == "cpu" else [torch, torch.get_device_module(device)]


def start(model: nn.Module, *, lr: float, seed: int) -> State:
    """Begin a training of `model`, in place, by stochastic gradient descent.

    Args:
        seed: of the order of the images, drawn anew each epoch; the same on every device.
            Dropout draws from torch's global generator.
    """
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    return State(model, optimizer, torch.Generator().manual_seed(seed))


def fit(
    state: State,
    train: tuple[Tensor, Tensor],
    val: tuple[Tensor, Tensor],
    *,
    epochs: int,
    batch_size: int,
    l2: float,
    bfloat16: bool = False,
) -> Iterator[Epoch]:
    """Go on training until `epochs` are done; yield after each.

    The chapter's loop (*Deep Learning with PyTorch*, sections 8.4.1 and 8.5.2): cross-entropy
    plus l2 * (the sum of the squares of all parameters).

    Args:
        train, val: normalised images, float32 [N, 3, 32, 32], and labels, int64 [N], on the
            model's device.
        bfloat16: compute the forward pass in it where PyTorch's autocast deems that safe.
    """
    images, labels = train
    model, optimizer = state.model, state.optimizer
    while state.epoch < epochs:
        model.train()
        permutation = torch.randperm(len(labels), generator=state.order).to(labels.device)
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
        state.epoch += 1
        yield Epoch(
            state.epoch,
            train_loss=evaluation.loss(train_logits, train_labels),
            train_accuracy=evaluation.accuracy(train_logits, train_labels),
            val_loss=evaluation.loss(val_logits, val_labels),
            val_accuracy=evaluation.accuracy(val_logits, val_labels),
        )
