"""The network with fixed filters and an auxiliary task."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cifar2.inference import evaluation
from tests.unit.settings import build


def logits(model: nn.Module, x: Tensor) -> Tensor:
    """Return what airbench's layers give for each rotation and class, [N, 4, num_classes]."""
    x = model.get_submodule("whiten")(F.conv2d(x, model.get_buffer("filters")))
    x = F.gelu(torch.cat([x, -x], dim=1))
    for block in ("block1", "block2", "block3"):
        x = model.get_submodule(block)(x)
    return model.get_submodule("fc")(x.amax(dim=(2, 3))).view(len(x), 4, -1)


def test_evaluation_averages_the_classes_over_the_rotations() -> None:
    model = build("airbench", 3).eval()
    images = torch.randn(5, 3, 32, 32)
    # By 0, 90, 180 and 270 degrees, anticlockwise.
    rotated = (images, images.mT.flip(2), images.flip(2, 3), images.mT.flip(3))
    expected = sum(logits(model, x)[:, rotation] for rotation, x in enumerate(rotated)) / 4
    torch.testing.assert_close(model(images), expected)
    upright = evaluation.compute_logits(model, images, mirror=False, upright=True)
    torch.testing.assert_close(upright, logits(model, images)[:, 0])
    for count in (1, 2, 3):  # a batch smaller than the number of rotations trains, too
        assert model.train()(images[:count]).shape == (count, 12)
