"""The losses of every network on a few images, against those in tests/golden.json."""

import json

import pytest
import torch

from cifar2.models import list_models
from tests import golden

GOLDEN = json.loads(golden.FILE.read_text())
# On the kind of machine that wrote them, and on any other. There, sums in another order agree to
# about 1e-6; but in the VGG they switch a relu on or off, and the curves part (by 4% at most so
# far).
SAME, OTHER, OTHER_VGG = 1e-6, 1e-4, 0.2


def assert_golden(name: str, part: str) -> None:
    tolerance = OTHER_VGG if name == "vgg" else OTHER
    if golden.machine() == GOLDEN["machine"]:
        tolerance = SAME
    losses, expected = golden.losses(name, part), GOLDEN["losses"][name][part]
    torch.testing.assert_close(
        torch.tensor(losses), torch.tensor(expected), rtol=tolerance, atol=tolerance / 10
    )


@pytest.mark.parametrize("name", list_models())
def test_losses_of_five_steps_are_the_golden_ones(name: str) -> None:
    assert_golden(name, "steps")


LARGE = ("airbench", "netresdeep", "vgg")  # these take seconds


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n in LARGE else n for n in list_models()],
)
def test_losses_of_two_epochs_are_the_golden_ones(name: str) -> None:
    assert_golden(name, "epochs")
