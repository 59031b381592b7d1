"""Random views of images, against torch's own padding."""

import itertools
from collections import Counter
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cifar2.params import Augment
from cifar2.training import augment


def images(count: int) -> Tensor:
    pixels = torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return pixels.contiguous(memory_format=torch.channels_last)


def draw(count: int, *, flip: bool, crop: int) -> tuple[Tensor, Tensor]:
    return augment.draw(count, 32, Augment(flip=flip, crop=crop), torch.Generator().manual_seed(1))


def views(count: int, **settings: Any) -> Tensor:
    return augment.take(images(count), torch.arange(count), *draw(count, **settings))


def windows(crop: int) -> set[bytes]:
    """Return all windows of an image of pixel numbers that is padded with its reflection."""
    padded = F.pad(torch.arange(1024.0).view(1, 32, 32), 4 * [crop], mode="reflect")[0]
    places = itertools.product(range(2 * crop + 1), repeat=2)
    upright = [padded[top : top + 32, left : left + 32] for top, left in places]
    return {view.numpy().tobytes() for window in upright for view in (window, window.flip(1))}


@pytest.mark.parametrize(("crop", "count"), [(1, 4000), (4, 200), (31, 200)])
def test_view_is_a_window_of_the_padded_image_and_each_is_as_likely(crop: int, count: int) -> None:
    """Of 4,000 views, 222 are expected of each; the bounds are about four deviations away."""
    # A view of the numbers of the pixels tells where each pixel comes from.
    numbers = torch.arange(1024.0).view(1, 1, 32, 32).expand(count, 3, 32, 32)
    numbers = numbers.contiguous(memory_format=torch.channels_last)
    seen = augment.take(numbers, torch.arange(count), *draw(count, flip=True, crop=crop))
    assert torch.equal(seen, seen[:, :1].expand_as(seen))  # all channels are of the same window
    assert seen.is_contiguous(memory_format=torch.channels_last)
    counts = Counter(view[0].numpy().tobytes() for view in seen)
    assert counts.keys() <= windows(crop)
    if crop == 1:
        assert len(counts) == 18
        assert min(counts.values()) > 160 and max(counts.values()) < 290


def test_flip_and_crop_work_alone_and_not_at_all() -> None:
    x, flipped = images(1000), views(1000, flip=True, crop=0)
    mirrored = (flipped == x.flip(3)).flatten(1).all(dim=1)
    assert ((flipped == x).flatten(1).all(dim=1) != mirrored).all()
    assert 430 < mirrored.sum() < 570
    _, columns = draw(200, flip=False, crop=1)
    assert (columns[:, 1] < columns[:, -2]).all()  # crop alone mirrors nothing
    assert torch.equal(views(1000, flip=False, crop=0), x)


def test_chosen_images_are_taken_in_their_order() -> None:
    rows = columns = torch.arange(32).expand(2, 32)
    x = images(5)
    assert torch.equal(augment.take(x, torch.tensor([3, 1]), rows, columns), x[[3, 1]])
