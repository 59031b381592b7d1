"""A network that shrinks the image first, by fixed filters, to save time."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cifar2.models._layers import cosine_transform

FILTERS = 16


class NetStem(nn.Module):
    """Fixed 4×4 filters of stride 2 with a pool behind them, then two 3×3 convolutions, each with
    batch normalisation, and one linear layer; 23,394 parameters at n_chans1 = 32.

    The stem shrinks the image to a quarter of its height and width while there are few channels, so
    that the 3×3 convolutions, which take most of the time, have only 8×8 and 4×4 positions.
    Its filters are low frequencies of the cosine transform: ten of brightness, three of each of the
    other two colours. They are good from the first step on, and need no gradient.
    Sources: convolution and pool of stride 2 at the start, He et al., *Deep Residual Learning*
    (2015), table 1; fixed filters, and pool before normalisation, Jordan, *94% on CIFAR-10 in 3.29
    Seconds* (2024), sections 3.1 and 3.2.

    Shapes: [N, 3, 32, 32] → filters [N, 16, 16, 16] → pooled [N, 16, 8, 8]
    → conv1 [N, n_chans1, 8, 8] → pooled [N, n_chans1, 4, 4] → conv2 [N, 2 n_chans1, 4, 4]
    → largest of each channel [N, 2 n_chans1] → fc [N, num_classes].
    """

    def __init__(self, num_classes: int, n_chans1: int) -> None:
        super().__init__()
        n = n_chans1
        transform = cosine_transform(4)
        frequency = torch.arange(4) + torch.arange(4)[:, None]
        brightness, colour = transform[0][frequency < 4], transform[1:, frequency < 2].flatten(0, 1)
        self.filters: Tensor
        self.register_buffer("filters", torch.cat([brightness, colour]), persistent=False)
        self.stem_batchnorm = nn.BatchNorm2d(FILTERS)
        # Without biases, because the batch normalisation would subtract them again.
        self.conv1 = nn.Conv2d(FILTERS, n, kernel_size=3, padding=1, bias=False)
        self.conv1_batchnorm = nn.BatchNorm2d(n)
        self.conv2 = nn.Conv2d(n, 2 * n, kernel_size=3, padding=1, bias=False)
        self.conv2_batchnorm = nn.BatchNorm2d(2 * n)
        self.fc = nn.Linear(2 * n, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        stem = F.conv2d(x, self.filters, stride=2, padding=1)
        x = torch.relu_(self.stem_batchnorm(F.max_pool2d(stem, 2)))
        x = torch.relu_(self.conv1_batchnorm(F.max_pool2d(self.conv1(x), 2)))
        x = torch.relu_(self.conv2_batchnorm(self.conv2(x)))
        return self.fc(F.adaptive_max_pool2d(x, 1).flatten(1))
