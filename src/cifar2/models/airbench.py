"""A network for little time and few images: fixed first filters, and an auxiliary task."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cifar2.models._layers import cosine_transform

ROTATIONS = 4  # by 0, 90, 180 and 270 degrees


class Airbench(nn.Module):
    """Fixed filters, then six 3×3 convolutions in three blocks, which predict the class and the
    rotation of a rotated image; 497,544 parameters at n_chans1 = 32.

    Source: the network of Jordan, *94% on CIFAR-10 in 3.29 Seconds on a Single GPU* (2024),
    sections 3.1 and 3.2, with half its width. Its first layer is 2×2 filters, taken from the
    principal components of the images and then left as they are. Here they are the cosine
    transform, which is close to those components. Batch normalisation scales their variances to
    one.

    Auxiliary task: Lee, Hwang, Shin, *Self-supervised Label Augmentation via Input Transformations*
    (2020), section 2. A two-class label carries little information; predicting the rotation forces
    the network to learn detail. In training, each quarter of a batch is rotated by another angle.
    The logits are those of all pairs of class and rotation, with the image's own rotation first, so
    cross-entropy against the label is that of the pair; loss and accuracy are those of this harder
    task. In evaluation the network sees an image in all four rotations, and averages the logits of
    the classes at each.

    Shapes: [N, 3, 32, 32] → filters and their negatives [N, 24, 31, 31]
    → block1 [N, n_chans1, 15, 15] → block2 [N, 4 n_chans1, 7, 7] → block3 [N, 4 n_chans1, 3, 3]
    → largest of each channel [N, 4 n_chans1] → fc [N, 4 num_classes] → in training those logits,
    the own rotation's first; in evaluation [N, num_classes].
    """

    def __init__(self, num_classes: int, n_chans1: int) -> None:
        super().__init__()
        n = n_chans1
        self.filters: Tensor
        self.register_buffer("filters", cosine_transform(2).reshape(12, 3, 2, 2), persistent=False)
        self.whiten = nn.BatchNorm2d(12, affine=False)
        self.block1 = _block(24, n)
        self.block2 = _block(n, 4 * n)
        self.block3 = _block(4 * n, 4 * n)
        self.fc = nn.Linear(4 * n, ROTATIONS * num_classes)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            parts = x.chunk(ROTATIONS)  # fewer parts, if there are fewer images
            rotated = torch.cat([torch.rot90(part, k, (2, 3)) for k, part in enumerate(parts)])
            answers = self._logits(rotated).split([len(part) for part in parts])
            return torch.cat([each.roll(-k, 1).flatten(1) for k, each in enumerate(answers)])
        answers = [self._logits(torch.rot90(x, k, (2, 3)))[:, k] for k in range(ROTATIONS)]
        return torch.stack(answers).mean(dim=0)

    def upright(self, x: Tensor) -> Tensor:
        """Return the logits [N, num_classes] for images that are not rotated, in a quarter of the
        time that `forward` takes in evaluation."""
        return self._logits(x)[:, 0]

    def _logits(self, x: Tensor) -> Tensor:
        """Return a logit of each rotation and class, [N, 4, num_classes]."""
        x = x.contiguous(memory_format=torch.channels_last)  # which rotating undoes
        x = self.whiten(F.conv2d(x, self.filters))
        x = F.gelu(torch.cat([x, -x], dim=1))
        x = self.block3(self.block2(self.block1(x)))
        return self.fc(F.adaptive_max_pool2d(x, 1).flatten(1)).unflatten(1, (ROTATIONS, -1))


def _block(n_in: int, n_out: int) -> nn.Sequential:
    # Without biases, because the batch normalisation would subtract them again.
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, kernel_size=3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(n_out),
        nn.GELU(),
        nn.Conv2d(n_out, n_out, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(n_out),
        nn.GELU(),
    )
