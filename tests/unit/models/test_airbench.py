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


def test_training_loss_is_that_of_the_pair_of_class_and_rotation() -> None:
    """Also a batch that is smaller than the number of rotations trains."""
    model = build("airbench", 3).train()
    images, labels = torch.randn(8, 3, 32, 32), torch.arange(8) % 3
    a, b, c, d = images.split(2)
    rotated = torch.cat([a, b.mT.flip(2), c.flip(2, 3), d.mT.flip(3)])
    rotations = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    expected = F.cross_entropy(logits(model, rotated).flatten(1), 3 * rotations + labels)
    torch.testing.assert_close(F.cross_entropy(model(images), labels), expected)
    for count in (1, 2, 3):
        assert model(images[:count]).shape == (count, 12)
