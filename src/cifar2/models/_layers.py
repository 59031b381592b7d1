"""The layers that several architectures use."""

import torch.nn.functional as F
from torch import Tensor, nn


class Conv2d(nn.Conv2d):
    """A 3×3 convolution that keeps height and width; [N, n_in, H, W] → [N, n_out, H, W].

    The same as `nn.Conv2d(n_in, n_out, kernel_size=3, padding=1)`, except that the bias is added
    separately. Inside oneDNN's convolution, the gradient of a few biases can take longer than that
    of the weights (bench/README.md).
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(n_in, n_out, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        assert self.bias is not None
        return F.conv2d(x, self.weight, padding=self.padding).add_(self.bias.view(-1, 1, 1))
