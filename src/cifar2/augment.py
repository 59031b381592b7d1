"""Random views of images: mirrored, shifted. Drawn for an epoch, taken batch by batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SIZE = 32  # pixels, the height and the width of an image


def draw(count: int, *, flip: bool, crop: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw, for each of `count` images, which of its rows and columns make its view.

    The crop is that of He et al., *Deep Residual Learning* (2015), section 4.2: a window of the
    image's own size, anywhere in the image padded by `crop` pixels on each side; but the padding
    is the image's reflection, not black.

    Args:
        flip: mirror left and right, one image in two.
        crop: 0 to 31 pixels.

    Returns:
        Rows and columns, int64 [count, 32] each, from 0 to 31.
    """
    shifts = torch.randint(-crop, crop + 1, (2, count, 1), generator=generator)
    lines = (torch.arange(SIZE) + shifts).abs()  # reflected at the one edge
    rows, columns = SIZE - 1 - (SIZE - 1 - lines).abs()  # and at the other
    if flip:
        mirrored = torch.rand(count, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    return rows, columns


def take(images: Tensor, chosen: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return views of the chosen images, [n, 3, 32, 32] in `channels_last`.

    One gather of pixels: nothing is padded, and no image is gone through by itself.

    Args:
        images: [N, 3, 32, 32] in `channels_last`.
        chosen: their numbers, int64 [n]; rows, columns: int64 [n, 32].
    """
    pixels = images.permute(0, 2, 3, 1).reshape(-1, 3)
    lines = chosen[:, None] * SIZE + rows
    numbers = lines[:, :, None] * SIZE + columns[:, None, :]
    return F.embedding(numbers, pixels).permute(0, 3, 1, 2)  # in half the time of pixels[numbers]
