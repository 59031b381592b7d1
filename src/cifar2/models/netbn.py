"""The wide network with batch normalisation."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cifar2.models._layers import Conv2d


class NetBN(nn.Module):
    """`netwidth` with batch normalisation behind each convolution; 38,482 parameters.

    Source: *Deep Learning with PyTorch* (2020), section 8.5.2; Ioffe, Szegedy, *Batch
    Normalization* (2015), section 3.2.

    Shapes: [N, 3, 32, 32] → conv1, pool [N, n_chans1, 16, 16]
    → conv2, pool [N, n_chans1 // 2, 8, 8] → fc1 [N, 32] → fc2 [N, num_classes].
    """

    def __init__(self, num_classes: int, size: int, n_chans1: int, kernel_size: int) -> None:
        super().__init__()
        n_chans2 = n_chans1 // 2
        self.conv1 = Conv2d(3, n_chans1, kernel_size)
        self.conv1_batchnorm = nn.BatchNorm2d(n_chans1)
        self.conv2 = Conv2d(n_chans1, n_chans2, kernel_size)
        self.conv2_batchnorm = nn.BatchNorm2d(n_chans2)
        self.fc1 = nn.Linear(n_chans2 * (size // 4) ** 2, 32)
        self.fc2 = nn.Linear(32, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(F.max_pool2d(self.conv1_batchnorm(self.conv1(x)), 2))
        x = torch.tanh(F.max_pool2d(self.conv2_batchnorm(self.conv2(x)), 2))
        x = torch.tanh(self.fc1(x.flatten(1)))
        return self.fc2(x)
