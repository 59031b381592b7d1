"""The chapter's networks."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cifar2.models import get_model
from tests.unit.models.test_models import count


class ChapterNet(nn.Module):
    """The baseline as a reader of the chapter types it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, kernel_size=3, padding=1)
        self.act1 = nn.Tanh()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(16, 8, kernel_size=3, padding=1)
        self.act2 = nn.Tanh()
        self.pool2 = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(8 * 8 * 8, 32)
        self.act3 = nn.Tanh()
        self.fc2 = nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        out = self.pool1(self.act1(self.conv1(x)))
        out = self.pool2(self.act2(self.conv2(out)))
        out = out.view(-1, 8 * 8 * 8)
        return self.fc2(self.act3(self.fc1(out)))


def test_state_dict_of_a_reader_s_network_loads_and_gives_the_same() -> None:
    theirs, ours = ChapterNet(), get_model("net")
    ours.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.randn(5, 3, 32, 32)
    torch.testing.assert_close(ours(images), theirs(images))


@pytest.mark.parametrize("name", ["netdropout", "net1"])
def test_dropout_is_active_in_training_only(name: str) -> None:
    model = get_model(name, dropout=0.5)
    images = torch.randn(4, 3, 32, 32)
    assert not torch.equal(model.train()(images), model(images))
    assert torch.equal(model.eval()(images), model(images))


@pytest.mark.parametrize("name", ["netdropout", "net1"])
def test_dropout_drops_whole_channels_with_the_given_probability(name: str) -> None:
    model = get_model(name, n_chans1=512, dropout=0.75).train()
    seen: list[Tensor] = []
    for layer in ("conv1_dropout", "conv2_dropout"):
        model.get_submodule(layer).register_forward_hook(lambda *args: seen.append(args[2]))
    model(torch.randn(2, 3, 32, 32))
    for channels in seen:
        zeros = (channels == 0).flatten(2)
        dropped = zeros.all(dim=2)
        assert torch.equal(dropped, zeros.any(dim=2))
        assert dropped.double().mean() == pytest.approx(0.75, abs=0.08)


def test_skip_of_netres_adds_the_input_of_conv3() -> None:
    model = get_model("netres")
    nn.init.zeros_(model.get_parameter("conv3.weight"))
    nn.init.zeros_(model.get_parameter("conv3.bias"))
    images = torch.randn(4, 3, 32, 32)
    x = images
    for conv in (model.get_submodule("conv1"), model.get_submodule("conv2")):
        x = F.max_pool2d(torch.relu(conv(x)), 2)
    x = torch.relu(model.get_submodule("fc1")(F.max_pool2d(x, 2).flatten(1)))
    torch.testing.assert_close(model(images), model.get_submodule("fc2")(x))


def test_hundred_residual_blocks_have_the_book_s_number_of_parameters() -> None:
    assert count(get_model("netresdeep", n_blocks=100)) == 994_530


def test_shared_residual_blocks_are_one_block() -> None:
    shared = get_model("netresdeep", n_blocks=100, shared_blocks=True)
    assert count(shared) == 75_810
    first, last = (shared.get_parameter(f"resblocks.{i}.conv.weight") for i in (0, 99))
    assert first is last


def test_shared_residual_blocks_have_the_state_dict_of_separate_ones() -> None:
    shared, separate = (get_model("netresdeep", shared_blocks=shared) for shared in (True, False))
    assert shared.state_dict().keys() == separate.state_dict().keys()


def test_residual_blocks_start_as_in_the_book() -> None:
    block = get_model("netresdeep").get_submodule("resblocks.3")
    assert (block.get_parameter("batch_norm.weight") == 0.5).all()
    assert (block.get_parameter("batch_norm.bias") == 0).all()
    spread = block.get_parameter("conv.weight").std().item()
    assert spread == pytest.approx((2 / (32 * 9)) ** 0.5, rel=0.05)  # He et al. (2015)
