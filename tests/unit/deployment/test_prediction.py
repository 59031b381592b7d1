"""Answers about pictures."""

from pathlib import Path

import pytest
import torch

from cifar2.deployment.prediction import predict
from cifar2.errors import MissingFile
from cifar2.inference.checkpoint import Description
from tests.unit.settings import build

DESCRIPTION = Description("netdropout", {}, ["airplane", "bird", "cat"], "cifar10")


def test_pictures_are_read_a_hundred_at_once(tmp_path: Path) -> None:
    pixels = torch.zeros(3, 32, 32, dtype=torch.uint8)
    answers = predict(
        [*[pixels] * 100, tmp_path / "missing.png"], build("netdropout", 3), DESCRIPTION
    )
    assert len([next(answers) for _ in range(100)]) == 100
    with pytest.raises(MissingFile, match=r"missing\.png: no such file"):
        next(answers)
