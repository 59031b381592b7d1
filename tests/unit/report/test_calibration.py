"""Whether a network is right as often as its probabilities say: cases computed by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cifar2.report import calibration
from cifar2.report.calibration import Bin


def logits(*confidences: float) -> Tensor:
    """Return logits of two classes that give the first one these probabilities."""
    return torch.tensor([[math.log(p / (1 - p)), 0.0] for p in confidences])


def test_answers_are_sorted_by_confidence_into_fifteenths_and_the_error_averages_over_them() -> (
    None
):
    # 0.52 lies in the eighth interval, 0.5333 to 0.6 is the ninth, and so on.
    found = calibration.bins(logits(0.52, 0.9, 0.92, 0.3), torch.tensor([0, 0, 1, 1]))
    assert [each.images for each in found] == [1, 1, 2]
    assert [each.accuracy for each in found] == [1.0, 1.0, 0.5]
    assert [each.confidence for each in found] == pytest.approx([0.52, 0.7, 0.91])
    certain = calibration.bins(torch.tensor([[1000.0, 0.0]]), torch.tensor([0]))
    assert certain == [Bin(1.0, 1.0, 1)]
    assert calibration.error(found) == pytest.approx((0.48 + 0.3 + 2 * 0.41) / 4)


def test_temperature_has_the_smallest_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    found = 6 * torch.randn(2000, 4, generator=generator)
    labels = (found / 2).softmax(dim=1).multinomial(1, generator=generator).squeeze(1)
    best = calibration.temperature(found, labels)
    assert best == pytest.approx(2, rel=0.05)
    loss = [F.cross_entropy(found / (factor * best), labels) for factor in (0.98, 1, 1.02)]
    assert loss[1] < min(loss[0], loss[2])
    without_a_mistake = calibration.temperature(logits(0.6, 0.7), torch.tensor([0, 0]))
    assert without_a_mistake == pytest.approx(0.01)
