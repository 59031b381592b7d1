"""Random views of images, mirrored and shifted: drawn for an epoch, taken batch by batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cifar2.params import Augment


def draw(
    count: int, size: int, settings: Augment, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw, for each of `count` images of size×size pixels, which rows and columns make its view.

    The crop is that of He et al., *Deep Residual Learning* (2015), section 4.2: a window of the
    same size at a random place of the image, which is padded by `settings.crop` pixels each side.
    But here the padding is the image's reflection, not black. With `settings.flip`, half of the
    views are mirrored left to right.

    Returns:
        Rows and columns, int64 [count, size] each, from 0 to size - 1.
    """
    crop = settings.crop
    shifts = torch.randint(-crop, crop + 1, (2, count, 1), generator=generator)
    lines = (torch.arange(size) + shifts).abs()  # reflected at the top and at the left
    rows, columns = size - 1 - (size - 1 - lines).abs()  # and at the bottom and at the right
    if settings.flip:
        mirrored = torch.rand(count, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    return rows, columns


def take(images: Tensor, chosen: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return views of the chosen images, [n, 3, size, size] in `channels_last`.

    This is a single gather of pixels, without padding and without a loop over the images.

    Args:
        images: [N, 3, size, size] in `channels_last`.
        chosen: indices of images, int64 [n].
        rows, columns: int64 [n, size].
    """
    pixels = images.permute(0, 2, 3, 1).reshape(-1, 3)
    size = images.shape[-1]
    lines = chosen[:, None] * size + rows
    numbers = lines[:, :, None] * size + columns[:, None, :]
    return F.embedding(numbers, pixels).permute(0, 3, 1, 2)  # twice as fast as pixels[numbers]
