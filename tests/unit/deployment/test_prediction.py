"""Answers about pictures."""

from pathlib import Path

import pytest
import torch

from cifar2.data import dataset
from cifar2.deployment.prediction import predict
from cifar2.errors import MissingFile
from cifar2.inference import evaluation
from cifar2.inference.checkpoint import Description
from tests.unit.settings import build

OWN = dataset.Preparation((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
DESCRIPTION = Description("netdropout", {}, ["airplane", "bird", "cat"], "mine", OWN)


@pytest.mark.parametrize("count", [0, 7, 201])
@pytest.mark.parametrize("mirror", [False, True])
def test_answers_are_those_of_an_evaluation(count: int, mirror: bool) -> None:
    network = build("netdropout", 3)
    images = torch.randint(256, (count, 3, 32, 32), dtype=torch.uint8)
    answers = list(predict(images, network, DESCRIPTION, mirror=mirror))
    assert len(answers) == count
    if count:
        normalized = dataset.normalize(images, OWN)
        logits = evaluation.compute_logits(network, normalized, mirror=mirror)
        expected = logits.softmax(dim=1)
        assert [list(each.probabilities.values()) for each in answers] == expected.tolist()
        labels = [DESCRIPTION.classes[index] for index in logits.argmax(1)]
        assert [each.label for each in answers] == labels
        assert [each.probability for each in answers] == expected.amax(dim=1).tolist()
        assert all(list(each.probabilities) == DESCRIPTION.classes for each in answers)


def test_pictures_are_read_a_hundred_at_once(tmp_path: Path) -> None:
    pixels = torch.zeros(3, 32, 32, dtype=torch.uint8)
    answers = predict(
        [*[pixels] * 100, tmp_path / "missing.png"], build("netdropout", 3), DESCRIPTION
    )
    assert len([next(answers) for _ in range(100)]) == 100
    with pytest.raises(MissingFile, match=r"missing\.png: no such file"):
        next(answers)
