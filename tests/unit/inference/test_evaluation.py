"""Logits of a trained network, their accuracy and their loss."""

import math

import pytest
import torch

from cifar2.inference import evaluation
from tests.unit.settings import build


def some_images(count: int) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(7))


def test_logits_are_those_of_all_images_in_batches_of_at_most_a_hundred() -> None:
    model, images = build("net", 3).eval(), some_images(250)
    expected = model(images)
    sizes: list[int] = []
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    torch.testing.assert_close(evaluation.compute_logits(model, images, mirror=False), expected)
    assert sizes == [100, 100, 50]


def test_network_is_used_and_left_in_evaluation_mode() -> None:
    model, images = build("net1").train(), some_images(20)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first = evaluation.compute_logits(model, images, mirror=False)
    assert not model.training
    assert torch.equal(first, evaluation.compute_logits(model, images, mirror=False))  # no dropout
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)  # no new statistics


def test_mirrored_evaluation_is_the_mean_over_an_image_and_its_mirror_image() -> None:
    images, model = some_images(150), build("netbn")
    both = evaluation.compute_logits(model, images, mirror=True)
    one = evaluation.compute_logits(model, images, mirror=False)
    other = evaluation.compute_logits(model, images.flip(3), mirror=False)
    torch.testing.assert_close(both, (one + other) / 2)
    assert not torch.allclose(one, other)
    # This network rotates nothing.
    assert torch.equal(evaluation.compute_logits(model, images, mirror=True, upright=True), both)
    assert not (both.requires_grad or one.requires_grad)


def test_accuracy_is_the_exact_fraction_whose_largest_logit_is_at_the_label() -> None:
    logits = torch.zeros(2000, 2)  # a tie goes to the first class
    logits[:1789, 1] = 1
    assert evaluation.accuracy(logits, torch.ones(2000, dtype=torch.int64)) == 1789 / 2000


def test_loss_is_the_mean_cross_entropy_in_nats() -> None:
    logits = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]])
    expected = (math.log(2) + math.log(4)) / 2
    assert evaluation.loss(logits, torch.tensor([0, 1])) == pytest.approx(expected)
