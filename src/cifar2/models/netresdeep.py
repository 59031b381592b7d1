"""A stack of residual blocks."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cifar2.models._layers import Conv2d


class ResBlock(nn.Module):
    """x + relu(batchnorm(conv(x))); [N, n_chans, H, W] → the same shape.

    Source: *Deep Learning with PyTorch* (2020), section 8.5.3, its initialisation included;
    the Kaiming-normal draw: He et al., *Delving Deep into Rectifiers* (2015), section 2.2.
    """

    def __init__(self, n_chans: int, kernel_size: int) -> None:
        super().__init__()
        # Without a bias, because the batch normalisation would subtract it again.
        self.conv = nn.Conv2d(n_chans, n_chans, kernel_size, padding=kernel_size // 2, bias=False)
        self.batch_norm = nn.BatchNorm2d(n_chans)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        nn.init.constant_(self.batch_norm.weight, 0.5)
        nn.init.zeros_(self.batch_norm.bias)

    def forward(self, x: Tensor) -> Tensor:
        # In place, because the backward pass of the normalisation does not need its output.
        return torch.relu_(self.batch_norm(self.conv(x))) + x


class NetResDeep(nn.Module):
    """A convolution and `n_blocks` residual blocks: 159,330 parameters at 10, 994,530 at 100.

    Source: *Deep Learning with PyTorch* (2020), section 8.5.3. In the printed code the list of
    blocks holds ONE block `n_blocks` times, so all share their weights: `shared_blocks=True`
    gives that network, of 75,810 parameters.

    Shapes: [N, 3, 32, 32] → conv1, pool [N, n_chans1, 16, 16] → blocks, the same shape
    → pool [N, n_chans1, 8, 8] → fc1 [N, 32] → fc2 [N, num_classes].
    """

    def __init__(
        self,
        num_classes: int,
        size: int,
        n_chans1: int,
        n_blocks: int,
        shared_blocks: bool,
        kernel_size: int,
    ) -> None:
        super().__init__()
        self.conv1 = Conv2d(3, n_chans1, kernel_size)
        if shared_blocks:
            blocks = n_blocks * [ResBlock(n_chans1, kernel_size)]
        else:
            blocks = [ResBlock(n_chans1, kernel_size) for _ in range(n_blocks)]
        self.resblocks = nn.Sequential(*blocks)
        self.fc1 = nn.Linear(n_chans1 * (size // 4) ** 2, 32)
        self.fc2 = nn.Linear(32, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(F.max_pool2d(self.conv1(x), 2))
        x = self.resblocks(x)
        x = F.max_pool2d(x, 2)
        x = torch.relu(self.fc1(x.flatten(1)))
        return self.fc2(x)
