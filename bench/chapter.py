"""The chapter's networks and its loop: *Deep Learning with PyTorch*, sections 8.3 to 8.5.

The layers are those of `cifar2`, where its slips are put right; the order of calls is the book's.
"""

from collections.abc import Iterable
from functools import partial, reduce
from typing import Any

import torch
from torch import Tensor, nn

from bench.machine import ROOT
from cifar2 import models, params
from cifar2.models._layers import Conv2d

Loader = Iterable[tuple[Tensor, Tensor]]


# What `forward` calls in turn: a network's own layers, and the steps below.
FORWARD = {
    "net": "conv1 tanh pool conv2 tanh pool flat fc1 tanh fc2",
    "netwidth": "conv1 tanh pool conv2 tanh pool flat fc1 tanh fc2",
    "netdropout": "conv1 tanh pool conv1_dropout conv2 tanh pool conv2_dropout flat fc1 tanh fc2",
    "netbn": "conv1 conv1_batchnorm tanh pool conv2 conv2_batchnorm tanh pool flat fc1 tanh fc2",
    "net1": "conv1 conv1_dropout conv1_batchnorm tanh pool"
    " conv2 conv2_dropout conv2_batchnorm tanh pool flat fc1 tanh fc2",
    "netdepth": "conv1 relu pool conv2 relu pool conv3 relu pool flat fc1 relu fc2",
    "netres": "conv1 relu pool conv2 relu pool skip pool flat fc1 relu fc2",
    "netresdeep": "conv1 tanh pool blocks pool flat fc1 relu fc2",
}
STEPS = {"tanh": torch.tanh, "relu": torch.relu, "pool": nn.MaxPool2d(2), "flat": nn.Flatten()}


def skip(self: Any, x: Tensor) -> Tensor:
    return torch.relu(self.conv3(x)) + x


def blocks(self: Any, x: Tensor) -> Tensor:
    for block in self.resblocks:
        x = torch.relu(block.batch_norm(block.conv(x))) + x
    return x


def get_model(name: str) -> nn.Module:
    """Build the book's form of an architecture; one that the book does not have is ours."""
    settings = params.load(ROOT / "params.yaml").model.model_copy(update={"name": name})
    model = models.get_model(name, 2, **settings.config())
    if name in FORWARD:
        steps: Any = STEPS | {"skip": partial(skip, model), "blocks": partial(blocks, model)}
        calls = [steps.get(each) or getattr(model, each) for each in FORWARD[name].split()]
        model.forward = partial(reduce, lambda x, call: call(x), calls)
    for module in model.modules():
        if isinstance(module, Conv2d):
            module.__class__ = nn.Conv2d  # type: ignore[assignment]  # torch's own, as in the book
    return model


def train_epoch(model: nn.Module, optimizer: torch.optim.Optimizer, loader: Loader) -> float:
    """Pass over the training images once; return the sum of the losses (section 8.4)."""
    model.train()
    loss_fn = nn.CrossEntropyLoss()
    loss_sum = 0.0
    for images, labels in loader:
        loss = loss_fn(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss_sum += loss.item()
    return loss_sum


def validate(model: nn.Module, loader: Loader) -> float:
    """Return the accuracy (section 8.4.1)."""
    model.eval()
    correct = total = 0
    with torch.no_grad():
        for images, labels in loader:
            _, predicted = torch.max(model(images), dim=1)
            total += labels.shape[0]
            correct += int((predicted == labels).sum())
    return correct / total
