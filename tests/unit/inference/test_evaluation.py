"""Logits of a trained network."""

import torch

from cifar2.inference import evaluation
from tests.unit.settings import build


def test_logits_are_those_of_all_images_in_batches_of_at_most_a_hundred() -> None:
    model, images = build("net", 3).eval(), torch.randn(250, 3, 32, 32)
    expected = model(images)
    sizes: list[int] = []
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    torch.testing.assert_close(evaluation.compute_logits(model, images, mirror=False), expected)
    assert sizes == [100, 100, 50]
