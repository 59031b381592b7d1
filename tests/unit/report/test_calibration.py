"""Whether a network is right as often as its probabilities say: cases computed by hand."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cifar2.report import calibration
from cifar2.report.calibration import Bin


def logits(*confidences: float) -> Tensor:
    """Return logits of two classes that give the first one these probabilities."""
    return torch.tensor([[math.log(p / (1 - p)), 0.0] for p in confidences])


def test_answers_are_sorted_by_confidence_into_fifteenths() -> None:
    # 0.52 lies in the eighth interval, 0.5333 to 0.6 is the ninth, and so on.
    found = calibration.bins(logits(0.52, 0.9, 0.92, 0.3), torch.tensor([0, 0, 1, 1]))
    assert [each.images for each in found] == [1, 1, 2]
    assert [each.accuracy for each in found] == [1.0, 1.0, 0.5]
    assert [each.confidence for each in found] == pytest.approx([0.52, 0.7, 0.91])


def test_certain_answer_is_in_the_last_bin() -> None:
    found = calibration.bins(torch.tensor([[1000.0, 0.0]]), torch.tensor([0]))
    assert found == [Bin(1.0, 1.0, 1)]


def test_error_is_the_distance_of_confidence_and_accuracy_over_all_answers() -> None:
    bins = [Bin(0.6, 0.5, 3), Bin(0.8, 1.0, 1)]
    assert calibration.error(bins) == pytest.approx((3 * 0.1 + 1 * 0.2) / 4)


def test_confidence_that_is_the_accuracy_has_no_error() -> None:
    labels = torch.tensor([0, 0, 0, 1])
    found = calibration.bins(logits(0.75, 0.75, 0.75, 0.75), labels)
    assert calibration.error(found) == pytest.approx(0, abs=1e-7)
    assert calibration.temperature(logits(0.75, 0.75, 0.75, 0.75), labels) == pytest.approx(1)


def test_temperature_makes_the_confidence_the_accuracy() -> None:
    """Of four answers three are right, so the right confidence is 0.75."""
    too_sure, labels = logits(0.99, 0.99, 0.99, 0.99), torch.tensor([0, 0, 0, 1])
    expected = math.log(0.99 / 0.01) / math.log(0.75 / 0.25)
    assert calibration.temperature(too_sure, labels) == pytest.approx(expected)
    not_sure_enough = logits(0.6, 0.6, 0.6, 0.6)
    expected = math.log(0.6 / 0.4) / math.log(0.75 / 0.25)
    assert calibration.temperature(not_sure_enough, labels) == pytest.approx(expected)


def test_temperature_has_the_smallest_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    found = 6 * torch.randn(2000, 4, generator=generator)
    labels = (found / 2).softmax(dim=1).multinomial(1, generator=generator).squeeze(1)
    best = calibration.temperature(found, labels)
    assert best == pytest.approx(2, rel=0.05)

    def loss(temperature: float) -> float:
        return torch.nn.functional.cross_entropy(found / temperature, labels).item()

    assert loss(best) < min(loss(0.98 * best), loss(1.02 * best))


def test_without_a_mistake_the_temperature_is_the_lowest() -> None:
    assert calibration.temperature(logits(0.6, 0.7), torch.tensor([0, 0])) == pytest.approx(0.01)


def test_files_have_exact_bytes(tmp_path: Path) -> None:
    labels = torch.tensor([0, 0, 0, 1])
    calibration.write(
        tmp_path / "c.json", tmp_path / "r.csv", logits(0.99, 0.99, 0.99, 0.99), labels
    )
    assert json.loads((tmp_path / "c.json").read_text()) == {
        "ece": 0.24,
        "temperature": 4.183,
        "ece_at_temperature": 0.0,
    }
    assert (tmp_path / "r.csv").read_text() == "confidence,accuracy,images\n0.9900,0.7500,4\n"
