"""CIFAR-2 as tensors: the choice of classes, the file, the normalisation."""

from pathlib import Path

import pytest
import torch

from cifar2.data import dataset
from cifar2.errors import FileError, UserError


def numbered(per_class: int, classes: int = 2) -> dataset.Dataset:
    """Return images whose first two values are their index; the classes take turns.

    They have another memory layout than saved images.
    """
    count = per_class * classes
    images = torch.zeros(count, 3, 32, 32, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(count) // 256
    images[:, 0, 0, 1] = torch.arange(count) % 256
    names = ["a", "b", "c"][:classes]
    images = images.contiguous(memory_format=torch.channels_last)
    return dataset.Dataset(images, torch.arange(count) % classes, names, "cifar10")


def numbers(data: dataset.Dataset) -> list[int]:
    return [256 * int(image[0, 0, 0]) + int(image[0, 0, 1]) for image in data.images]


# The choice of classes.


def test_chosen_images_keep_their_order_and_labels_follow_that_of_the_classes() -> None:
    chosen = dataset.select(numbered(2, classes=3), ["c", "a"])
    assert numbers(chosen) == [0, 2, 3, 5]
    assert chosen.labels.tolist() == [1, 0, 1, 0]
    assert chosen.classes == ["c", "a"] and chosen.source == "cifar10"
    assert chosen.images.is_contiguous()  # else the same images could be saved as different bytes


def test_class_that_the_data_does_not_have_is_named() -> None:
    reason = "^data.classes: no class 'd' in 'cifar10'; classes there: a, b; or all$"
    with pytest.raises(UserError, match=reason):
        dataset.select(numbered(1), ["a", "d"])
    assert dataset.select(numbered(1), "all").classes == ["a", "b"]


# The images that are set apart.


def test_folds_are_ordered_shares_of_each_class_and_together_have_all_images() -> None:
    folds = [dataset.set_apart(numbered(333), 0.1, fold) for fold in range(10)]
    for left, apart in folds:
        assert sorted(numbers(left) + numbers(apart)) == list(range(666))
        assert set(apart.labels.bincount().tolist()) <= {33, 34}
        for part in (left, apart):
            assert numbers(part) == sorted(numbers(part))
            assert [number % 2 for number in numbers(part)] == part.labels.tolist()
            assert part[2:4] == (["a", "b"], "cifar10")
    assert sorted(n for _, apart in folds for n in numbers(apart)) == list(range(666))


def test_what_is_set_apart_is_always_the_same_and_does_not_depend_on_other_classes() -> None:
    assert numbers(dataset.set_apart(numbered(10), 0.2, 3)[1]) == [0, 1, 16, 17]
    apart = dataset.set_apart(numbered(10, classes=3), 0.2, 1)[1]
    alone = dataset.set_apart(dataset.select(numbered(10, classes=3), ["b"]), 0.2, 1)[1]
    assert numbers(alone) == [number for number in numbers(apart) if number % 3 == 1]


def test_class_of_which_a_part_has_no_image_is_an_error() -> None:
    with pytest.raises(UserError, match=r"^data\.holdout: fold 0 of 0\.01 has 0 of the 10 train"):
        dataset.set_apart(numbered(10), 0.01, 0)


# The file.


def test_saved_data_set_has_the_documented_keys_and_is_loaded_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.pt"
    dataset.save(numbered(3), path)
    content = torch.load(path, weights_only=True)
    assert list(content) == ["images", "labels", "classes", "dataset"]
    back = dataset.load(path)
    for data in (back, dataset.Dataset(*content.values())):
        assert data.images.equal(numbered(3).images) and data.labels.equal(numbered(3).labels)
        assert data[2:4] == (["a", "b"], "cifar10")


IMAGES, LABELS = torch.zeros(6, 3, 32, 32, dtype=torch.uint8), torch.arange(6) % 2
GOOD = {"images": IMAGES, "labels": LABELS, "classes": ["a", "b"], "dataset": "cifar10"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (GOOD | {"images": IMAGES.float()}, "images are not uint8 [N, 3, 32, 32]"),
        (GOOD | {"labels": LABELS[:5]}, "images are not uint8 [N, 3, 32, 32]"),
        (GOOD | {"labels": LABELS.float()}, "labels are not int64 [N]"),
        (GOOD | {"images": IMAGES[:0], "labels": LABELS[:0]}, "labels are not int64 [N]"),
        (GOOD | {"labels": LABELS + 1}, "labels are out of range"),
        ({}, "'images'"),
        (None, ""),
    ],
)
def test_other_content_is_not_a_data_set(content: object, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save(content, path)
    with pytest.raises(FileError) as caught:
        dataset.load(path)
    assert str(caught.value).startswith(f"{path}: not a data set ({reason}")


# The normalisation.


def test_normalisation_is_that_of_the_chapter_in_channels_last() -> None:
    values = torch.tensor([0, 51, 255], dtype=torch.uint8)
    images = dataset.normalize(values.view(3, 1, 1, 1).repeat(1, 3, 32, 32))
    assert images.shape == (3, 3, 32, 32) and images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    mean, std = (0.4915, 0.4823, 0.4468), (0.2470, 0.2435, 0.2616)
    expected = [
        [(value - m) / s for m, s in zip(mean, std, strict=True)] for value in (0.0, 0.2, 1.0)
    ]
    torch.testing.assert_close(images[:, :, 5, 5], torch.tensor(expected))


def test_images_of_another_kind_are_an_error() -> None:
    """Such are those that torchvision's ToTensor gives, and those of Pillow."""
    for images in torch.rand(2, 3, 32, 32), torch.zeros(2, 32, 32, 3, dtype=torch.uint8):
        with pytest.raises(ValueError, match=r"^images must be uint8 .*; these are \w+ \["):
            dataset.normalize(images)
