"""The layers and filters that several architectures use."""

import math

import torch
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


def cosine_transform(size: int) -> Tensor:
    """Return filters that need no training: the cosine transform of each opponent colour.

    The first colour is brightness. For natural images the transform is close to the principal
    components (Ahmed, Natarajan, Rao 1974; Ohta, Kanade, Sakai 1980), and most of what is in an
    image is in the low frequencies of brightness.

    Returns:
        float32 [3 colours, size, size, 3, size, size]: for each colour and frequency a filter of
        length 1, orthogonal to all others.
    """
    places = torch.arange(size, dtype=torch.float64)
    frequencies = places[:, None]
    cosines = F.normalize(torch.cos(math.pi / size * (places + 0.5) * frequencies)).float()
    colours = F.normalize(torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]]))
    return torch.einsum("ui,vj,kc->kuvcij", cosines, cosines, colours)
