"""The deeper network with a skip connection."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cifar2.models._layers import Conv2d


class NetRes(nn.Module):
    """`netdepth` with a skip around conv3; 16,130 parameters at 32 channels, two classes.

    Source: *Deep Learning with PyTorch* (2020), section 8.5.3; He et al., *Deep Residual
    Learning for Image Recognition* (2015), section 3.2.

    Shapes: [N, 3, 32, 32] → conv1, pool [N, n_chans1, 16, 16]
    → conv2, pool [N, n_chans1 // 2, 8, 8] → conv3, + its input, pool [N, n_chans1 // 2, 4, 4]
    → fc1 [N, 32] → fc2 [N, num_classes].
    """

    def __init__(self, num_classes: int, size: int, n_chans1: int, kernel_size: int) -> None:
        super().__init__()
        n_chans2 = n_chans1 // 2
        self.conv1 = Conv2d(3, n_chans1, kernel_size)
        self.conv2 = Conv2d(n_chans1, n_chans2, kernel_size)
        self.conv3 = Conv2d(n_chans2, n_chans2, kernel_size)
        self.fc1 = nn.Linear(n_chans2 * (size // 8) ** 2, 32)
        self.fc2 = nn.Linear(32, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(F.max_pool2d(self.conv1(x), 2))
        x = torch.relu(F.max_pool2d(self.conv2(x), 2))
        x = F.max_pool2d(torch.relu(self.conv3(x)) + x, 2)
        x = torch.relu(self.fc1(x.flatten(1)))
        return self.fc2(x)
