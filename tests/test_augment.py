"""Random views of images, against numpy's and torch's own padding."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cifar2 import augment


def images(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, 3, 32, 32, generator=generator)
    return x.contiguous(memory_format=torch.channels_last)


def views(count: int, *, flip: bool, crop: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    rows, columns = augment.draw(count, flip=flip, crop=crop, generator=generator)
    return augment.take(images(count), torch.arange(count), rows, columns)


@pytest.mark.parametrize("crop", [1, 4, 31])
def test_a_view_is_a_window_of_the_padded_image(crop: int) -> None:
    """Every window is drawn, and nothing else."""
    generator = torch.Generator().manual_seed(1)
    count = 4000 if crop == 1 else 200
    rows, columns = augment.draw(count, flip=True, crop=crop, generator=generator)
    # A view of the numbers of the pixels tells where each came from.
    numbers = torch.arange(1024.0).view(1, 1, 32, 32).expand(count, 3, 32, 32)
    numbers = numbers.contiguous(memory_format=torch.channels_last)
    seen = augment.take(numbers, torch.arange(count), rows, columns)
    padded = F.pad(torch.arange(1024.0).view(1, 32, 32), 4 * [crop], mode="reflect")[0]
    windows = {}
    for top in range(2 * crop + 1):
        for left in range(2 * crop + 1):
            window = padded[top : top + 32, left : left + 32]
            windows[window.numpy().tobytes()] = (top, left, False)
            windows[window.flip(1).contiguous().numpy().tobytes()] = (top, left, True)
    drawn = [windows[np.ascontiguousarray(view[0]).tobytes()] for view in seen.numpy()]
    if crop == 1:
        counts = [drawn.count(window) for window in set(windows.values())]
        assert len(counts) == 18
        assert min(counts) > 160 and max(counts) < 290  # 222 of each, four deviations or so
    assert (seen[:, 0] == seen[:, 2]).all()


def test_flip_alone_gives_the_image_or_its_mirror_image() -> None:
    x, seen = images(1000), views(1000, flip=True, crop=0)
    mirrored = (seen == x.flip(3)).flatten(1).all(dim=1)
    assert ((seen == x).flatten(1).all(dim=1) != mirrored).all()
    assert 430 < mirrored.sum() < 570


def test_views_are_channels_last_and_follow_the_seed() -> None:
    seen = views(10, flip=True, crop=4)
    assert seen.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(seen, views(10, flip=True, crop=4))
    assert not torch.equal(seen, views(10, flip=True, crop=4, seed=1))


def test_the_chosen_images_are_taken() -> None:
    rows = columns = torch.arange(32).expand(2, 32)
    x = images(5)
    assert torch.equal(augment.take(x, torch.tensor([3, 1]), rows, columns), x[[3, 1]])
