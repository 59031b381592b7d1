"""The chapter's way, as its reader types it: what the rest of the project is measured against.

Written anew after *Deep Learning with PyTorch*, sections 7.2.1 (CIFAR-2), 8.3 and 8.5 (the
networks), 8.4 (the loop). Only its slips are put right: see the models of `cifar2`, from which
the layers come; the order of pool and activation is the book's.
"""

import datetime
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cifar2 import models
from cifar2.data import dataset
from cifar2.models import net, net1, netbn, netdepth, netdropout, netres, netresdeep, netwidth
from cifar2.models._layers import Conv2d

Loader = Iterable[tuple[Tensor, Tensor]]


class Net(net.Net):
    def forward(self, x: Tensor) -> Tensor:
        out = F.max_pool2d(torch.tanh(self.conv1(x)), 2)
        out = F.max_pool2d(torch.tanh(self.conv2(out)), 2)
        out = torch.tanh(self.fc1(out.view(out.shape[0], -1)))
        return self.fc2(out)


class NetWidth(netwidth.NetWidth):
    def forward(self, x: Tensor) -> Tensor:
        out = F.max_pool2d(torch.tanh(self.conv1(x)), 2)
        out = F.max_pool2d(torch.tanh(self.conv2(out)), 2)
        out = torch.tanh(self.fc1(out.view(out.shape[0], -1)))
        return self.fc2(out)


class NetDropout(netdropout.NetDropout):
    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1_dropout(F.max_pool2d(torch.tanh(self.conv1(x)), 2))
        out = self.conv2_dropout(F.max_pool2d(torch.tanh(self.conv2(out)), 2))
        out = torch.tanh(self.fc1(out.view(out.shape[0], -1)))
        return self.fc2(out)


class NetBN(netbn.NetBN):
    def forward(self, x: Tensor) -> Tensor:
        out = F.max_pool2d(torch.tanh(self.conv1_batchnorm(self.conv1(x))), 2)
        out = F.max_pool2d(torch.tanh(self.conv2_batchnorm(self.conv2(out))), 2)
        out = torch.tanh(self.fc1(out.view(out.shape[0], -1)))
        return self.fc2(out)


class Net1(net1.Net1):
    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1_batchnorm(self.conv1_dropout(self.conv1(x)))
        out = F.max_pool2d(torch.tanh(out), 2)
        out = self.conv2_batchnorm(self.conv2_dropout(self.conv2(out)))
        out = F.max_pool2d(torch.tanh(out), 2)
        out = torch.tanh(self.fc1(out.view(out.shape[0], -1)))
        return self.fc2(out)


class NetDepth(netdepth.NetDepth):
    def forward(self, x: Tensor) -> Tensor:
        out = F.max_pool2d(torch.relu(self.conv1(x)), 2)
        out = F.max_pool2d(torch.relu(self.conv2(out)), 2)
        out = F.max_pool2d(torch.relu(self.conv3(out)), 2)
        out = torch.relu(self.fc1(out.view(out.shape[0], -1)))
        return self.fc2(out)


class NetRes(netres.NetRes):
    def forward(self, x: Tensor) -> Tensor:
        out = F.max_pool2d(torch.relu(self.conv1(x)), 2)
        out1 = F.max_pool2d(torch.relu(self.conv2(out)), 2)
        out = F.max_pool2d(torch.relu(self.conv3(out1)) + out1, 2)
        out = torch.relu(self.fc1(out.view(out.shape[0], -1)))
        return self.fc2(out)


class NetResDeep(netresdeep.NetResDeep):
    def forward(self, x: Tensor) -> Tensor:
        out = F.max_pool2d(torch.tanh(self.conv1(x)), 2)
        for block in self.resblocks:
            conv, batch_norm = block.get_submodule("conv"), block.get_submodule("batch_norm")
            out = torch.relu(batch_norm(conv(out))) + out
        out = F.max_pool2d(out, 2)
        out = torch.relu(self.fc1(out.view(out.shape[0], -1)))
        return self.fc2(out)


NETS = (Net, NetWidth, NetDropout, NetBN, Net1, NetDepth, NetRes, NetResDeep)


def get_model(name: str) -> nn.Module:
    """Build the book's form of an architecture; the VGG, which it does not have, is ours."""
    nets: dict[str, Any] = {network.__name__.lower(): network for network in NETS}
    model: nn.Module = nets[name]() if name in nets else models.get_model(name)
    for module in model.modules():
        if isinstance(module, Conv2d):
            module.__class__ = nn.Conv2d  # type: ignore[assignment]  # torch's own, as in the book
    return model


def cifar2(root: str, train: bool) -> list[tuple[Tensor, int]]:
    """Read CIFAR-10 and keep the airplanes and birds, image by image (section 7.2.1)."""
    from torchvision import transforms
    from torchvision.datasets import CIFAR10

    prepare = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize(dataset.MEAN, dataset.STD)]
    )
    cifar10 = CIFAR10(root, train=train, download=False, transform=prepare)
    label_map = {0: 0, 2: 1}
    return [(image, label_map[label]) for image, label in cifar10 if label in label_map]


def train_epoch(
    epoch: int, model: nn.Module, optimizer: torch.optim.Optimizer, loader: Loader
) -> None:
    """Pass over the training images once; print the loss as the book does (section 8.4)."""
    model.train()
    loss_fn = nn.CrossEntropyLoss()
    loss_sum = 0.0
    batches = 0
    for images, labels in loader:
        loss = loss_fn(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss_sum += loss.item()
        batches += 1
    if epoch == 1 or epoch % 10 == 0:
        print(f"{datetime.datetime.now()} epoch {epoch}, training loss {loss_sum / batches}")


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
