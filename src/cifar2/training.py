"""The training loop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import lr_scheduler

from cifar2 import augment, evaluation


class Epoch(NamedTuple):
    """How an epoch went: mean cross-entropies in nats, accuracies as fractions.

    The train figures are running ones, from the batches as they were trained on; neither penalty
    nor label smoothing is in the loss, so that train and val compare. The val figures are those at
    the epoch's end.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float


@dataclass
class State:
    """A training between two epochs: all that it takes to go on from there, bit for bit.

    scheduler: of the learning rate, asked after each step; None where it stays.
    order: the generator of the images' order and augmentation.
    epoch: the last one finished.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: lr_scheduler.LRScheduler | None
    order: torch.Generator
    epoch: int = 0

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain containers that share memory with the model's."""
        return {
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict() if self.scheduler else None,
            "order": self.order.get_state(),
            "random": [module.get_rng_state() for module in self._random_modules()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned, torch's global generators included."""
        self.epoch = state["epoch"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler:
            self.scheduler.load_state_dict(state["scheduler"])
        self.order.set_state(state["order"])
        for module, random in zip(self._random_modules(), state["random"], strict=True):
            module.set_rng_state(random)

    def _random_modules(self) -> list[Any]:
        device = next(self.model.parameters()).device
        return [torch] if device.type == "cpu" else [torch, torch.get_device_module(device)]


def start(
    model: nn.Module,
    *,
    lr: float,
    seed: int,
    optimizer: str = "sgd",
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    schedule: str = "none",
    steps: int = 0,
) -> State:
    """Begin a training of `model`, in place.

    Args:
        seed: of the order of the images, drawn anew each epoch, and of their augmentation; the same
            on every device. Dropout draws from torch's global generator.
        optimizer: "sgd", "adam" (Kingma, Ba 2014) or "adamw" (Loshchilov, Hutter 2017).
        momentum, nesterov: of "sgd".
        weight_decay: taken from each parameter with its gradient; by "adamw", apart from it.
        schedule: of the learning rate, from step to step. "none"; "step": a tenth after half of
            the steps, a hundredth after three quarters (He et al. 2015, section 4.2); "cosine":
            down to 0 (Loshchilov, Hutter 2016); "onecycle": up from lr / 25 in three tenths of the
            steps and down to nearly 0, in straight lines (Smith, Topin 2017).
        steps: how many there will be, for the schedule.
    """
    chosen: torch.optim.Optimizer
    match optimizer:
        case "sgd":
            chosen = torch.optim.SGD(
                model.parameters(), lr, momentum, weight_decay=weight_decay, nesterov=nesterov
            )
        case "adam":
            chosen = torch.optim.Adam(model.parameters(), lr, weight_decay=weight_decay, fused=True)
        case "adamw":
            chosen = torch.optim.AdamW(
                model.parameters(), lr, weight_decay=weight_decay, fused=True
            )
        case _:
            raise ValueError(f"{optimizer!r} is no optimizer")
    scheduler: lr_scheduler.LRScheduler | None
    match schedule:
        case "none":
            scheduler = None
        case "step":
            scheduler = lr_scheduler.MultiStepLR(chosen, [steps // 2, steps * 3 // 4], gamma=0.1)
        case "cosine":
            scheduler = lr_scheduler.CosineAnnealingLR(chosen, T_max=steps)
        case "onecycle":
            scheduler = lr_scheduler.OneCycleLR(
                chosen, lr, total_steps=steps, anneal_strategy="linear", cycle_momentum=False
            )
        case _:
            raise ValueError(f"{schedule!r} is no schedule")
    return State(model, chosen, scheduler, torch.Generator().manual_seed(seed))


def fit(
    state: State,
    train: tuple[Tensor, Tensor],
    val: tuple[Tensor, Tensor],
    *,
    epochs: int,
    batch_size: int,
    l2: float = 0.0,
    label_smoothing: float = 0.0,
    flip: bool = False,
    crop: int = 0,
    bfloat16: bool = False,
) -> Iterator[Epoch]:
    """Go on training until `epochs` are done; yield after each.

    The chapter's loop (*Deep Learning with PyTorch*, sections 8.4 and 8.5.2): cross-entropy
    plus l2 * (the sum of the squares of all parameters). Beyond it: label smoothing (Szegedy et
    al., *Rethinking the Inception Architecture*, 2015, section 7), flip and crop (`augment.draw`).

    Args:
        train, val: normalised images, float32 [N, 3, 32, 32], and labels, int64 [N], on the
            model's device.
        bfloat16: compute the forward pass in it where PyTorch's autocast deems that safe.
    """
    images, labels = train
    model, optimizer = state.model, state.optimizer
    augmented = flip or crop > 0
    while state.epoch < epochs:
        model.train()
        permutation = torch.randperm(len(labels), generator=state.order).to(labels.device)
        if augmented:
            drawn = augment.draw(len(labels), flip=flip, crop=crop, generator=state.order)
            rows, columns = (lines.to(images.device) for lines in drawn)
        outputs = []
        for batch in permutation.split(batch_size):
            if augmented:
                x = augment.take(images, batch, rows[batch], columns[batch])
            else:
                x = images[batch]
            with torch.autocast(images.device.type, torch.bfloat16, enabled=bfloat16):
                logits = model(x)
                loss = F.cross_entropy(logits, labels[batch], label_smoothing=label_smoothing)
            if l2:
                loss = loss + l2 * sum(p.pow(2).sum() for p in model.parameters())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if state.scheduler:
                state.scheduler.step()
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
