"""Logits of a trained network."""

import torch
import torch.nn.functional as F

from cifar2.inference import evaluation
from tests.unit.settings import build


def test_logits_are_those_of_all_images_in_batches_of_at_most_a_hundred() -> None:
    model, images = build("net", 3).eval(), torch.randn(250, 3, 32, 32)
    expected = model(images)
    sizes: list[int] = []
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    torch.testing.assert_close(evaluation.compute_logits(model, images, mirror=False), expected)
    assert sizes == [100, 100, 50]


def test_recall_precision_and_f1_of_a_class_are_those_counted_by_hand() -> None:
    """The third class is given to no image; the fourth has no image, and is given to one."""
    labels, given = torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([0, 0, 1, 1, 3, 0])
    recalls, precisions, f1 = evaluation.per_class(F.one_hot(given).float(), labels)
    assert recalls == [2 / 3, 1 / 2, 0, None]
    assert precisions == [2 / 3, 1 / 2, None, 0]
    assert f1 == [2 / 3, 1 / 2, 0, 0]
