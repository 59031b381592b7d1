"""The training loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.optim import lr_scheduler

from cifar2.inference import evaluation
from cifar2.params import Params, Train
from cifar2.training import augment


class Epoch(NamedTuple):
    """The values of an epoch: mean cross-entropies in nats, accuracies as fractions.

    Those of train are running ones, from each batch before the step on it. Neither penalty, label
    smoothing nor class weights are in the loss, so that train and val compare. Those of val are of
    the network at the end of the epoch, without the rotations that airbench averages over.
    With `train.hardest` below 1, those of train are of the hardest images alone, so that train and
    val don't compare.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float


@dataclass
class State:
    """A training between two epochs: all that it needs to continue from there, bit for bit."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: lr_scheduler.LRScheduler | None  # of the learning rate; None where it is constant
    order: torch.Generator  # draws the order of the images, and their augmentation
    losses: Tensor  # of each train image, when it was last trained on, float32 [N]
    epoch: int = 0  # the number of the last finished epoch

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain containers; the tensors share memory with the model's."""
        return {
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict() if self.scheduler else None,
            "order": self.order.get_state(),
            "losses": self.losses,
            "random": [module.get_rng_state() for module in self._random_modules()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned, and with it torch's global random generators."""
        self.epoch = state["epoch"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler:
            self.scheduler.load_state_dict(state["scheduler"])
        self.order.set_state(state["order"])
        self.losses.copy_(state["losses"])
        for module, random in zip(self._random_modules(), state["random"], strict=True):
            module.set_rng_state(random)

    def _random_modules(self) -> list[Any]:
        device = next(self.model.parameters()).device
        return [torch] if device.type == "cpu" else [torch, torch.get_device_module(device)]


def start(model: nn.Module, settings: Params, images: int) -> State:
    """Begin a training of `model`, in place.

    The order of the images and their augmentation are drawn anew each epoch, from `train.seed`, the
    same on every device. Dropout draws from torch's global generator.

    Optimizers: SGD with momentum, also Nesterov's; Adam (Kingma, Ba 2014); AdamW (Loshchilov,
    Hutter 2017). Weight decay is part of the gradient, but for AdamW, which applies it apart.

    Schedules of the learning rate, from step to step: "none"; "step", a tenth after half of the
    steps and a hundredth after three quarters (He et al. 2015, section 4.2); "cosine", down to 0
    (Loshchilov, Hutter 2016); "onecycle", up from lr / 25 for three tenths of the steps and down to
    nearly 0, in straight lines (Smith, Topin 2017).

    Args:
        images: how many there are to train on; with the batch size they give the number of steps.
    """
    run, decay = settings.train, settings.regularization.weight_decay
    parameters = model.parameters()
    optimizer: torch.optim.Optimizer
    match run.optimizer:
        case "sgd":
            optimizer = torch.optim.SGD(
                parameters, run.lr, run.momentum, weight_decay=decay, nesterov=run.nesterov
            )
        case "adam":
            optimizer = torch.optim.Adam(parameters, run.lr, weight_decay=decay, fused=True)
        case "adamw":
            optimizer = torch.optim.AdamW(parameters, run.lr, weight_decay=decay, fused=True)
    steps = sum(math.ceil(_trained_on(i, images, run) / run.batch_size) for i in range(run.epochs))
    scheduler: lr_scheduler.LRScheduler | None
    match run.schedule:
        case "none":
            scheduler = None
        case "step":
            scheduler = lr_scheduler.MultiStepLR(optimizer, [steps // 2, steps * 3 // 4], gamma=0.1)
        case "cosine":
            scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
        case "onecycle":
            scheduler = lr_scheduler.OneCycleLR(
                optimizer, run.lr, total_steps=steps, anneal_strategy="linear", cycle_momentum=False
            )
    order = torch.Generator().manual_seed(run.seed)
    losses = torch.zeros(images, device=next(model.parameters()).device)
    return State(model, optimizer, scheduler, order, losses)


def _trained_on(epoch: int, images: int, run: Train) -> int:
    """Return how many images are trained on in an epoch, counted from 0."""
    return images if epoch < run.epochs / 8 else max(1, round(run.hardest * images))


def _balanced(labels: Tensor) -> Tensor:
    """Return the weight of each of N images, float64 [N]: N / (k · n) in a class of n images.

    With k classes, this is scikit-learn's `class_weight="balanced"` (after King, Zeng, *Logistic
    Regression in Rare Events Data*, 2001). `F.cross_entropy` has a `weight` of another kind: it
    divides by the weights of a batch, and label smoothing weighs each share by its own class.
    """
    _, own, counts = labels.unique(return_inverse=True, return_counts=True)
    return (len(labels) / (len(counts) * counts.double()))[own]


def fit(
    state: State, train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor], settings: Params
) -> Iterator[Epoch]:
    """Train until `train.epochs` are done; yield the values of each epoch.

    The chapter's loop (*Deep Learning with PyTorch*, sections 8.4 and 8.5.2): cross-entropy plus
    `regularization.l2` times the sum of the squares of all parameters. Beyond it: label smoothing
    (Szegedy et al., *Rethinking the Inception Architecture*, 2015, section 7), class weights
    (`_balanced`), flip and crop (`augment.draw`), and bfloat16 in the forward pass where PyTorch's
    autocast considers it safe.

    With `train.hardest` below 1, an epoch after the first eighth has only that share of the images,
    those whose loss was highest when they were last trained on (after Jiang et al., *Accelerating
    Deep Learning by Focusing on the Biggest Losers*, 2019). The values of train are of these.

    On the CPU, each of `train.threads` threads does both passes for a part of a batch by itself, if
    the network is `_divisible`. So threads wait for each other twice a step, not at each layer. The
    parts' gradients are added in a fixed order: the bytes depend on the number of threads alone.

    Args:
        train, val: normalized images, float32 [N, 3, size, size], and labels, int64 [N], on the
            model's device.
    """
    run, penalty = settings.train, settings.regularization
    images, labels = train
    model, optimizer = state.model, state.optimizer
    parameters = list(model.parameters())
    augmented = settings.augment.flip or settings.augment.crop > 0
    bfloat16 = run.precision == "bfloat16"
    weights = _balanced(labels.cpu()).to(images) if run.class_weights == "balanced" else None

    def learn(part: Tensor, share: float) -> tuple[Tensor, ...]:
        """Return the logits of a part of a batch, and its share of each parameter's gradient."""
        x = augment.take(images, part, rows[part], columns[part]) if augmented else images[part]
        # Without its cache, because all threads would share it.
        with torch.autocast(images.device.type, torch.bfloat16, bfloat16, cache_enabled=False):
            logits = model(x)
            loss = F.cross_entropy(
                logits,
                labels[part],
                reduction="mean" if weights is None else "none",
                label_smoothing=penalty.label_smoothing,
            )
        if weights is not None:
            loss = (weights[part] * loss).mean()
        if penalty.l2:
            loss = loss + penalty.l2 * sum(p.pow(2).sum() for p in parameters)
        return logits.detach().float(), *torch.autograd.grad(share * loss, parameters)

    validate = partial(evaluation.compute_logits, model, mirror=False, upright=True)
    threads = run.threads if _divisible(model) else 1
    with ThreadPoolExecutor(threads, "part", torch.set_num_threads, (1,)) as pool:
        on_each: Callable[..., Any] = pool.map if threads > 1 else map
        while state.epoch < run.epochs:
            model.train()
            count = _trained_on(state.epoch, len(labels), run)
            permutation = torch.randperm(count, generator=state.order).to(labels.device)
            if count < len(labels):
                permutation = state.losses.argsort(descending=True, stable=True)[permutation]
            if augmented:
                drawn = augment.draw(len(labels), images.shape[-1], settings.augment, state.order)
                rows, columns = (lines.to(images.device) for lines in drawn)
            outputs: list[Tensor] = []
            for batch in permutation.split(run.batch_size):
                parts = batch.chunk(threads)
                shares = [len(part) / len(batch) for part in parts]
                logits, *gradients = zip(*on_each(learn, parts, shares), strict=True)
                for parameter, of_parts in zip(parameters, gradients, strict=True):
                    # Always in the same order, and in memory as the weights: fused Adam needs it.
                    parameter.grad = reduce(torch.add, of_parts).contiguous()
                optimizer.step()
                if state.scheduler:
                    state.scheduler.step()
                outputs.extend(logits)
            # The values come from the logits at the end: in an epoch nothing waits for the device.
            train_logits, train_labels = torch.cat(outputs), labels[permutation]
            losses = F.cross_entropy(train_logits, train_labels, reduction="none")
            state.losses[permutation] = losses
            val_logits, val_labels = torch.cat([*on_each(validate, val[0].chunk(threads))]), val[1]
            state.epoch += 1
            yield Epoch(
                state.epoch,
                train_loss=evaluation.loss(train_logits, train_labels),
                train_accuracy=evaluation.accuracy(train_logits, train_labels),
                val_loss=evaluation.loss(val_logits, val_labels),
                val_accuracy=evaluation.accuracy(val_logits, val_labels),
            )


def _divisible(model: nn.Module) -> bool:
    """Return whether a model on the CPU treats each image by itself, and draws no random numbers.

    Batch normalisation in each part of a batch by itself would be another network (ghost batch
    normalisation: Hoffer et al., *Train Longer, Generalize Better*, 2017); and threads that draw
    from one generator would draw in another order each time.
    """
    apart = not any(isinstance(each, (_BatchNorm, _DropoutNd)) for each in model.modules())
    return apart and next(model.parameters()).device.type == "cpu"
