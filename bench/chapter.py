"""The chapter's way, as its reader types it: *Deep Learning with PyTorch*, sections 8.3 to 8.5.

The layers are those of `cifar2`, where its slips are put right; the order of calls is the book's.
"""

import sys
from collections.abc import Iterable
from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from bench import ROOT
from cifar2 import models, params
from cifar2.data import dataset
from cifar2.models._layers import Conv2d

Loader = Iterable[tuple[Tensor, Tensor]]


def net(self: Any, x: Tensor) -> Tensor:
    out = F.max_pool2d(torch.tanh(self.conv1(x)), 2)
    out = F.max_pool2d(torch.tanh(self.conv2(out)), 2)
    out = torch.tanh(self.fc1(out.view(out.shape[0], -1)))
    return self.fc2(out)


def netdropout(self: Any, x: Tensor) -> Tensor:
    out = self.conv1_dropout(F.max_pool2d(torch.tanh(self.conv1(x)), 2))
    out = self.conv2_dropout(F.max_pool2d(torch.tanh(self.conv2(out)), 2))
    out = torch.tanh(self.fc1(out.view(out.shape[0], -1)))
    return self.fc2(out)


def netbn(self: Any, x: Tensor) -> Tensor:
    out = F.max_pool2d(torch.tanh(self.conv1_batchnorm(self.conv1(x))), 2)
    out = F.max_pool2d(torch.tanh(self.conv2_batchnorm(self.conv2(out))), 2)
    out = torch.tanh(self.fc1(out.view(out.shape[0], -1)))
    return self.fc2(out)


def net1(self: Any, x: Tensor) -> Tensor:
    out = self.conv1_batchnorm(self.conv1_dropout(self.conv1(x)))
    out = F.max_pool2d(torch.tanh(out), 2)
    out = self.conv2_batchnorm(self.conv2_dropout(self.conv2(out)))
    out = F.max_pool2d(torch.tanh(out), 2)
    out = torch.tanh(self.fc1(out.view(out.shape[0], -1)))
    return self.fc2(out)


def netdepth(self: Any, x: Tensor) -> Tensor:
    out = F.max_pool2d(torch.relu(self.conv1(x)), 2)
    out = F.max_pool2d(torch.relu(self.conv2(out)), 2)
    out = F.max_pool2d(torch.relu(self.conv3(out)), 2)
    out = torch.relu(self.fc1(out.view(out.shape[0], -1)))
    return self.fc2(out)


def netres(self: Any, x: Tensor) -> Tensor:
    out = F.max_pool2d(torch.relu(self.conv1(x)), 2)
    out1 = F.max_pool2d(torch.relu(self.conv2(out)), 2)
    out = F.max_pool2d(torch.relu(self.conv3(out1)) + out1, 2)
    out = torch.relu(self.fc1(out.view(out.shape[0], -1)))
    return self.fc2(out)


def netresdeep(self: Any, x: Tensor) -> Tensor:
    out = F.max_pool2d(torch.tanh(self.conv1(x)), 2)
    for block in self.resblocks:
        out = torch.relu(block.batch_norm(block.conv(out))) + out
    out = F.max_pool2d(out, 2)
    out = torch.relu(self.fc1(out.view(out.shape[0], -1)))
    return self.fc2(out)


FORWARD = {each.__name__: each for each in (net, netdropout, netbn, net1, netdepth, netres)}
FORWARD |= {"netwidth": net, "netresdeep": netresdeep}


def get_model(name: str) -> nn.Module:
    """Build the book's form of an architecture; one that the book does not have is ours."""
    settings = params.load(ROOT / "params.yaml").model.model_copy(update={"name": name})
    model = models.get_model(name, 2, **settings.config())
    if name in FORWARD:
        model.forward = MethodType(FORWARD[name], model)
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


def main() -> None:
    """Train a network on a device for some epochs: python -m bench.chapter NAME DEVICE EPOCHS.

    Section 8.4.3: the images stay on the host, and go to the device a batch at a time.
    """
    name, device, epochs = sys.argv[1:]
    model = get_model(name).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loaders = []
    for part in ("train", "val"):
        images, labels, *_ = dataset.load(ROOT / f"data/cifar2/{part}.pt")
        pairs: Any = [*zip(dataset.normalize(images).contiguous(), labels.tolist(), strict=True)]
        loaders.append(DataLoader(pairs, batch_size=64, shuffle=part == "train"))
    for epoch in range(1, 1 + int(epochs)):
        moved = [((x.to(device), y.to(device)) for x, y in loader) for loader in loaders]
        train_epoch(model, optimizer, moved[0])
        validate(model, moved[1])
        print(f"epoch {epoch}", flush=True)


if __name__ == "__main__":
    main()
