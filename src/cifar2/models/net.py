"""The chapter's first network."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cifar2.models._layers import Conv2d


class Net(nn.Module):
    """Two convolutions and two linear layers, tanh, 18,090 parameters for two classes.

    Source: Stevens, Antiga, Viehmann, *Deep Learning with PyTorch* (2020), section 8.3.1.

    Shapes: [N, 3, 32, 32] → conv1, pool [N, 16, 16, 16] → conv2, pool [N, 8, 8, 8]
    → fc1 [N, 32] → fc2 [N, num_classes].
    """

    def __init__(self, num_classes: int, size: int, kernel_size: int) -> None:
        super().__init__()
        self.conv1 = Conv2d(3, 16, kernel_size)
        self.conv2 = Conv2d(16, 8, kernel_size)
        self.fc1 = nn.Linear(8 * (size // 4) ** 2, 32)
        self.fc2 = nn.Linear(32, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(F.max_pool2d(self.conv1(x), 2))
        x = torch.tanh(F.max_pool2d(self.conv2(x), 2))
        x = torch.tanh(self.fc1(x.flatten(1)))
        return self.fc2(x)
