"""Networks for little time: fixed filters first, and three of them trained at once."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NETWORKS = 3


class Airbench(nn.Module):
    """Three networks that are trained at once, each on images of its own, and asked together;
    1,490,310 parameters at n_chans1 = 32.

    Networks that started elsewhere and met other images, in another order, err on other images, so
    that their mean is as a rule better than any of them (Lakshminarayanan et al., *Simple and
    Scalable Predictive Uncertainty Estimation using Deep Ensembles*, 2017, with probabilities in
    the place of logits). In training, a third of a batch goes to each: in three epochs it meets as
    many images as there are, and the figures taken meanwhile are those of single networks. As the
    loss is a mean over all parts, SGD trains each as it would alone with a third of the learning
    rate and three times the weight decay.

    Shapes: [N, 3, 32, 32] → by each network, logits [N, num_classes] → their mean.
    """

    def __init__(self, num_classes: int = 2, n_chans1: int = 32) -> None:
        super().__init__()
        networks = [_Network(num_classes, n_chans1) for _ in range(NETWORKS)]
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            parts = x.chunk(NETWORKS)  # fewer, where there are fewer images
            return torch.cat([net(part) for net, part in zip(self.networks, parts, strict=False)])
        return torch.stack([net(x) for net in self.networks]).mean(dim=0)


class _Network(nn.Module):
    """Fixed filters, then six 3×3 convolutions in three blocks.

    Source: the network of Jordan, *94% on CIFAR-10 in 3.29 Seconds on a Single GPU* (2024), section
    3.1, half as wide. Its first layer, 2×2 filters taken from the images' principal
    components and then left as they are, is here the discrete cosine transform of the opponent
    colours, which are nearly those components for any natural image (Ahmed, Natarajan, Rao 1974;
    Ruderman et al. 1998); batch normalisation makes their variances one.

    Shapes: [N, 3, 32, 32] → filters and their negatives [N, 24, 31, 31]
    → block1 [N, n_chans1, 15, 15] → block2 [N, 4 n_chans1, 7, 7] → block3 [N, 4 n_chans1, 3, 3]
    → largest of each channel [N, 4 n_chans1] → fc [N, num_classes].
    """

    def __init__(self, num_classes: int, n_chans1: int) -> None:
        super().__init__()
        n = n_chans1
        self.filters: Tensor
        self.register_buffer("filters", _filters(), persistent=False)
        self.whiten = nn.BatchNorm2d(12, affine=False)
        self.block1 = _block(24, n)
        self.block2 = _block(n, 4 * n)
        self.block3 = _block(4 * n, 4 * n)
        self.fc = nn.Linear(4 * n, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.whiten(F.conv2d(x, self.filters))
        x = F.gelu(torch.cat([x, -x], dim=1))
        x = self.block3(self.block2(self.block1(x)))
        return self.fc(F.adaptive_max_pool2d(x, 1).flatten(1))


def _block(n_in: int, n_out: int) -> nn.Sequential:
    # No biases: the batch normalisation would subtract them again.
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, kernel_size=3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(n_out),
        nn.GELU(),
        nn.Conv2d(n_out, n_out, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(n_out),
        nn.GELU(),
    )


def _filters() -> Tensor:
    """Return the two-dimensional cosine transform of each opponent colour, [12, 3, 2, 2]."""
    half = math.sqrt(0.5)
    cosines = torch.tensor([[half, half], [half, -half]])
    colours = F.normalize(torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]]))
    return torch.einsum("ui,vj,kc->kuvcij", cosines, cosines, colours).reshape(12, 3, 2, 2)
