"""Logits of a trained network, their accuracy and their loss."""

import math

import pytest
import torch

from cifar2.inference import evaluation
from cifar2.models import get_model


def some_images(count: int) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("count", [1, 100, 101, 250])
def test_logits_are_those_of_all_images_in_their_order(count: int) -> None:
    model, images = get_model("net", 3).eval(), some_images(count)
    logits = evaluation.predict(model, images, mirror=False)
    assert logits.shape == (count, 3)
    torch.testing.assert_close(logits, model(images))


def test_network_sees_at_most_a_hundred_images_at_a_time() -> None:
    sizes = []
    model = get_model("net")
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    evaluation.predict(model, some_images(250), mirror=False)
    assert sizes == [100, 100, 50]


def test_network_is_used_and_left_in_evaluation_mode() -> None:
    model, images = get_model("net1").train(), some_images(20)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first = evaluation.predict(model, images, mirror=False)
    assert not model.training
    assert torch.equal(first, evaluation.predict(model, images, mirror=False))  # no dropout
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])  # no new running statistics


@pytest.mark.parametrize("mirror", [True, False])
def test_no_gradient_is_kept(mirror: bool) -> None:
    assert not evaluation.predict(get_model("net"), some_images(2), mirror=mirror).requires_grad


def test_mirrored_evaluation_is_the_mean_over_an_image_and_its_mirror_image() -> None:
    images = some_images(150)
    model = get_model("netbn")
    both = evaluation.predict(model, images, mirror=True)
    one = evaluation.predict(model, images, mirror=False)
    other = evaluation.predict(model, images.flip(3), mirror=False)
    torch.testing.assert_close(both, (one + other) / 2)
    assert not torch.allclose(one, other)


def test_network_that_rotates_nothing_gives_the_same_answers_upright() -> None:
    model, images = get_model("net"), torch.randn(3, 3, 32, 32)
    usual = evaluation.predict(model, images, mirror=True)
    assert torch.equal(evaluation.predict(model, images, mirror=True, upright=True), usual)


def test_accuracy_is_the_fraction_whose_largest_logit_is_at_the_label() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0], [-3.0, -1.0, -2.0]])
    assert evaluation.accuracy(logits, torch.tensor([0, 2, 0])) == 2 / 3


def test_accuracy_is_exact_in_double_precision() -> None:
    logits = torch.zeros(2000, 2)
    logits[:1789, 1] = 1
    assert evaluation.accuracy(logits, torch.ones(2000, dtype=torch.int64)) == 1789 / 2000


def test_tie_goes_to_the_first_class() -> None:
    assert evaluation.accuracy(torch.zeros(1, 2), torch.tensor([0])) == 1
    assert evaluation.accuracy(torch.zeros(1, 2), torch.tensor([1])) == 0


def test_loss_is_the_mean_cross_entropy_in_nats() -> None:
    logits = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]])
    expected = (math.log(2) + math.log(4)) / 2
    assert evaluation.loss(logits, torch.tensor([0, 1])) == pytest.approx(expected)
