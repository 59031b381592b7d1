"""A network for little time and few images: fixed filters first, and a second question."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TURNS = 4  # by 0, 90, 180 and 270 degrees


class Airbench(nn.Module):
    """Fixed filters, then six 3×3 convolutions in three blocks, to tell the class of a turned image
    and its turn; 497,544 parameters at n_chans1 = 32.

    Source: the network of Jordan, *94% on CIFAR-10 in 3.29 Seconds on a Single GPU* (2024), section
    3.1, half as wide. Its first layer, 2×2 filters taken from the images' principal
    components and then left as they are, is here the discrete cosine transform of the opponent
    colours, which are nearly those components for any natural image (Ahmed, Natarajan, Rao 1974;
    Ruderman et al. 1998); batch normalisation makes their variances one.

    Classes and turns: Lee, Hwang, Shin, *Self-supervised Label Augmentation via Input
    Transformations* (2020), section 2. Which of two classes an image is says little of it; how it
    is turned has to be seen in its details. In training, a quarter of a batch is turned by each
    angle, and as the columns of an image's own turn come first, its label's cross-entropy is that
    of class and turn together; loss and accuracy are those of this harder question. In evaluation
    an image is seen in all four turns, and its classes' logits at each are averaged.

    Shapes: [N, 3, 32, 32] → filters and their negatives [N, 24, 31, 31]
    → block1 [N, n_chans1, 15, 15] → block2 [N, 4 n_chans1, 7, 7] → block3 [N, 4 n_chans1, 3, 3]
    → largest of each channel [N, 4 n_chans1] → fc [N, 4 num_classes] → in training those logits,
    the own turn's first; in evaluation [N, num_classes].
    """

    def __init__(self, num_classes: int = 2, n_chans1: int = 32) -> None:
        super().__init__()
        n = n_chans1
        self.filters: Tensor
        self.register_buffer("filters", _filters(), persistent=False)
        self.whiten = nn.BatchNorm2d(12, affine=False)
        self.block1 = _block(24, n)
        self.block2 = _block(n, 4 * n)
        self.block3 = _block(4 * n, 4 * n)
        self.fc = nn.Linear(4 * n, TURNS * num_classes)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            parts = x.chunk(TURNS)  # fewer, where there are fewer images
            turned = torch.cat([_turn(part, turn) for turn, part in enumerate(parts)])
            answers = self._answer(turned).split([len(part) for part in parts])
            return torch.cat([each.roll(-turn, 1).flatten(1) for turn, each in enumerate(answers)])
        answers = [self._answer(_turn(x, turn))[:, turn] for turn in range(TURNS)]
        return torch.stack(answers).mean(dim=0)

    def _answer(self, x: Tensor) -> Tensor:
        """Return a logit of each turn and class, [N, 4, num_classes]."""
        x = x.contiguous(memory_format=torch.channels_last)  # which turning undoes
        x = self.whiten(F.conv2d(x, self.filters))
        x = F.gelu(torch.cat([x, -x], dim=1))
        x = self.block3(self.block2(self.block1(x)))
        return self.fc(F.adaptive_max_pool2d(x, 1).flatten(1)).unflatten(1, (TURNS, -1))


def _turn(x: Tensor, turn: int) -> Tensor:
    return torch.rot90(x, turn, (2, 3))


def _block(n_in: int, n_out: int) -> nn.Sequential:
    # No biases: the batch normalisation would subtract them again.
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, kernel_size=3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(n_out),
        nn.GELU(),
        nn.Conv2d(n_out, n_out, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(n_out),
        nn.GELU(),
    )


def _filters() -> Tensor:
    """Return the two-dimensional cosine transform of each opponent colour, [12, 3, 2, 2]."""
    half = math.sqrt(0.5)
    cosines = torch.tensor([[half, half], [half, -half]])
    colours = F.normalize(torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]]))
    return torch.einsum("ui,vj,kc->kuvcij", cosines, cosines, colours).reshape(12, 3, 2, 2)
