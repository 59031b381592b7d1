"""Answers about pictures."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from cifar2.data import dataset
from cifar2.deployment.pictures import Picture
from cifar2.deployment.prediction import Answer, predict
from cifar2.errors import MissingFile
from cifar2.inference import evaluation
from cifar2.inference.checkpoint import Description
from tests.unit.settings import build

CARD = Description("net", {}, ["airplane", "bird", "cat"], "cifar10")


@pytest.fixture
def network() -> torch.nn.Module:
    return build("netdropout", 3)


@pytest.mark.parametrize("count", [1, 7, 100, 201])
@pytest.mark.parametrize("mirror", [False, True])
def test_answers_are_those_of_an_evaluation(
    count: int, mirror: bool, network: torch.nn.Module
) -> None:
    images = torch.randint(256, (count, 3, 32, 32), dtype=torch.uint8)
    answers = list(predict(images, network, CARD, mirror=mirror))
    logits = evaluation.compute_logits(network, dataset.normalize(images), mirror=mirror)
    assert [list(each.probabilities.values()) for each in answers] == logits.softmax(1).tolist()
    assert [each.label for each in answers] == [CARD.classes[i] for i in logits.argmax(1)]


def test_answer_has_the_classes_in_their_order(network: torch.nn.Module) -> None:
    (answer,) = predict([Image.new("RGB", (50, 40))], network, CARD)
    assert list(answer.probabilities) == CARD.classes
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert answer.probability == max(answer.probabilities.values())


def test_pictures_of_every_kind_in_one_go(network: torch.nn.Module, tmp_path: Path) -> None:
    image = Image.new("RGB", (32, 32), "red")
    image.save(tmp_path / "red.png")
    pixels = torch.tensor([255, 0, 0], dtype=torch.uint8).view(3, 1, 1).expand(3, 32, 32)
    path = tmp_path / "red.png"
    with open(path, "rb") as file:
        every: list[Picture] = [
            image,
            path,
            str(path),
            file,
            pixels,
            pixels.permute(1, 2, 0).numpy(),
        ]
        answers = list(predict(every, network, CARD))
    assert len(answers) == len(every)
    assert len({each.label for each in answers}) == 1


def test_pictures_are_read_a_hundred_at_once(network: torch.nn.Module, tmp_path: Path) -> None:
    pixels = torch.zeros(3, 32, 32, dtype=torch.uint8)
    answers = predict([*[pixels] * 100, tmp_path / "missing.png"], network, CARD)
    assert len([next(answers) for _ in range(100)]) == 100
    with pytest.raises(MissingFile):
        next(answers)


def test_no_pictures_no_answers(network: torch.nn.Module) -> None:
    assert list(predict([], network, CARD)) == []


def test_probability_is_that_of_the_label() -> None:
    assert Answer("b", {"a": 0.25, "b": 0.75}).probability == 0.75
