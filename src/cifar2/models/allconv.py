"""Convolutions that halve the image themselves."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AllConv(nn.Module):
    """Three 4×4 convolutions of stride 2, each with batch normalisation, and one linear layer;
    166,082 parameters at n_chans1 = 32, 42,082 at 16.

    No layer computes more than a quarter of the image's positions, and the one pool is over the
    last 4×4. Source: strided convolutions for pools, Springenberg et al., *Striving for Simplicity:
    The All Convolutional Net* (2014), section 2.

    Shapes: [N, 3, 32, 32] → conv1 [N, n_chans1, 16, 16] → conv2 [N, 2 n_chans1, 8, 8]
    → conv3 [N, 4 n_chans1, 4, 4] → largest of each channel [N, 4 n_chans1] → fc [N, num_classes].
    """

    def __init__(self, num_classes: int = 2, n_chans1: int = 32) -> None:
        super().__init__()
        n = n_chans1
        # No biases: the batch normalisation would subtract them again.
        self.conv1 = nn.Conv2d(3, n, kernel_size=4, stride=2, padding=1, bias=False)
        self.conv1_batchnorm = nn.BatchNorm2d(n)
        self.conv2 = nn.Conv2d(n, 2 * n, kernel_size=4, stride=2, padding=1, bias=False)
        self.conv2_batchnorm = nn.BatchNorm2d(2 * n)
        self.conv3 = nn.Conv2d(2 * n, 4 * n, kernel_size=4, stride=2, padding=1, bias=False)
        self.conv3_batchnorm = nn.BatchNorm2d(4 * n)
        self.fc = nn.Linear(4 * n, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu_(self.conv1_batchnorm(self.conv1(x)))
        x = torch.relu_(self.conv2_batchnorm(self.conv2(x)))
        x = torch.relu_(self.conv3_batchnorm(self.conv3(x)))
        return self.fc(F.adaptive_max_pool2d(x, 1).flatten(1))
