"""The wide network with dropout."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cifar2.models._layers import Conv2d


class NetDropout(nn.Module):
    """`netwidth` with dropout of whole channels behind each pool; 38,386 parameters.

    Source: *Deep Learning with PyTorch* (2020), section 8.5.2; dropout of channels: Tompson
    et al., *Efficient Object Localization Using Convolutional Networks* (2015), section 3.2.

    Shapes: [N, 3, 32, 32] → conv1, pool [N, n_chans1, 16, 16]
    → conv2, pool [N, n_chans1 // 2, 8, 8] → fc1 [N, 32] → fc2 [N, num_classes].
    """

    def __init__(
        self, num_classes: int, size: int, n_chans1: int, dropout: float, kernel_size: int
    ) -> None:
        super().__init__()
        n_chans2 = n_chans1 // 2
        self.conv1 = Conv2d(3, n_chans1, kernel_size)
        self.conv1_dropout = nn.Dropout2d(dropout)
        self.conv2 = Conv2d(n_chans1, n_chans2, kernel_size)
        self.conv2_dropout = nn.Dropout2d(dropout)
        self.fc1 = nn.Linear(n_chans2 * (size // 4) ** 2, 32)
        self.fc2 = nn.Linear(32, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1_dropout(torch.tanh(F.max_pool2d(self.conv1(x), 2)))
        x = self.conv2_dropout(torch.tanh(F.max_pool2d(self.conv2(x), 2)))
        x = torch.tanh(self.fc1(x.flatten(1)))
        return self.fc2(x)
