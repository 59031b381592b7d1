"""The layers that several architectures use."""

import torch.nn.functional as F
from torch import Tensor, nn


class Conv2d(nn.Conv2d):
    """A convolution that keeps height and width; [N, n_in, H, W] → [N, n_out, H, W].

    The same as `nn.Conv2d(n_in, n_out, kernel_size, padding=kernel_size // 2)` with an odd
    `kernel_size`, except that the bias is added separately. Inside oneDNN's convolution, the
    gradient of a few biases can take longer than that of the weights (bench/README.md).
    """

    def __init__(self, n_in: int, n_out: int, kernel_size: int) -> None:
        super().__init__(n_in, n_out, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Tensor) -> Tensor:
        assert self.bias is not None
        return F.conv2d(x, self.weight, padding=self.padding).add_(self.bias.view(-1, 1, 1))
