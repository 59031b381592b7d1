"""The architectures."""

import ast
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cifar2 import models
from cifar2.models import config_keys, get_model, list_models

# The table of parameters for two classes, at the defaults of params.yaml.
PARAMETERS = {
    "airbench": 497_544,
    "net": 18_090,
    "net1": 38_482,
    "netbn": 38_482,
    "netdepth": 16_130,
    "netdropout": 38_386,
    "netres": 16_130,
    "netresdeep": 159_330,
    "netstem": 94_402,
    "netwidth": 38_386,
    "vgg": 3_834_178,
}


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_the_list_is_the_table() -> None:
    assert list_models() == sorted(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_network_s_file_depends_on_no_other_network_s(name: str) -> None:
    """Or a change to that one would go unnoticed: the pipelines name the file of one alone."""
    tree = ast.parse(Path(models.__file__).with_name(f"{name}.py").read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    wanted = {getattr(node, "module", None) or node.names[0].name for node in imports}
    ours = {module for module in wanted if not module.startswith(("torch", "__future__"))}
    assert ours <= {"math", "cifar2.models._layers"}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_and_shapes(name: str) -> None:
    assert count(get_model(name)) == PARAMETERS[name]
    for num_classes in (2, 10):
        logits = get_model(name, num_classes).eval()(torch.zeros(3, 3, 32, 32))
        assert logits.shape == (3, num_classes)


def test_depth_and_sharing_of_the_residual_network() -> None:
    assert count(get_model("netresdeep", n_blocks=100)) == 994_530
    shared = get_model("netresdeep", n_blocks=100, shared_blocks=True)
    assert count(shared) == 75_810
    assert shared.state_dict().keys() == get_model("netresdeep", n_blocks=100).state_dict().keys()


@pytest.mark.parametrize("name", [n for n in PARAMETERS if "n_chans1" in config_keys(n)])
def test_width(name: str) -> None:
    model = get_model(name, n_chans1=10)
    first = next(p for p in model.parameters() if p.ndim == 4)
    assert first.shape[0] == 10
    assert model.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 2)


def test_what_each_model_takes() -> None:
    assert config_keys("net") == []
    assert config_keys("net1") == ["n_chans1", "dropout"]
    assert config_keys("netresdeep") == ["n_chans1", "n_blocks", "shared_blocks"]


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'\.\./x' is no model; models: airbench, net, net1"):
        get_model("../x")


def test_dropout_drops_whole_channels_in_training_alone() -> None:
    torch.manual_seed(0)
    model = get_model("netdropout", dropout=0.5)
    images = torch.randn(4, 3, 32, 32)
    assert not torch.equal(model.train()(images), model(images))
    assert torch.equal(model.eval()(images), model(images))


def classes_and_turns(model: nn.Module, x: Tensor) -> Tensor:
    """Return what airbench's layers say of images, [N, 4, num_classes]."""
    x = model.get_submodule("whiten")(F.conv2d(x, model.get_buffer("filters")))
    x = F.gelu(torch.cat([x, -x], dim=1))
    for block in ("block1", "block2", "block3"):
        x = model.get_submodule(block)(x)
    return model.get_submodule("fc")(x.amax(dim=(2, 3))).view(len(x), 4, -1)


def test_airbench_averages_the_classes_over_the_turns() -> None:
    torch.manual_seed(0)
    model = get_model("airbench", 3).eval()
    images = torch.randn(5, 3, 32, 32)
    turns = (images, images.mT.flip(2), images.flip(2, 3), images.mT.flip(3))  # anticlockwise
    expected = sum(classes_and_turns(model, x)[:, turn] for turn, x in enumerate(turns)) / 4
    torch.testing.assert_close(model(images), expected)


def test_the_loss_of_airbench_is_that_of_class_and_turn() -> None:
    torch.manual_seed(0)
    model = get_model("airbench", 3).train()
    images, labels = torch.randn(8, 3, 32, 32), torch.arange(8) % 3
    a, b, c, d = images.split(2)
    turned = torch.cat([a, b.mT.flip(2), c.flip(2, 3), d.mT.flip(3)])
    turns = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    expected = F.cross_entropy(classes_and_turns(model, turned).flatten(1), 3 * turns + labels)
    torch.testing.assert_close(F.cross_entropy(model(images), labels), expected)
    assert model(images[:1]).shape == (1, 12)


def test_the_fixed_filters_of_airbench_turn_patches_and_nothing_else() -> None:
    """They keep lengths and angles, and are no weights."""
    model = get_model("airbench")
    filters = model.get_buffer("filters").flatten(1)
    torch.testing.assert_close(filters @ filters.T, torch.eye(12))
    assert not [name for name in model.state_dict() if "filters" in name]


def test_the_skip_adds_the_input_of_conv3() -> None:
    model = get_model("netres")
    nn.init.zeros_(model.get_parameter("conv3.weight"))
    nn.init.zeros_(model.get_parameter("conv3.bias"))
    images = torch.randn(4, 3, 32, 32)
    x = images
    for conv in (model.get_submodule("conv1"), model.get_submodule("conv2")):
        x = F.max_pool2d(torch.relu(conv(x)), 2)
    x = torch.relu(model.get_submodule("fc1")(F.max_pool2d(x, 2).flatten(1)))
    torch.testing.assert_close(model(images), model.get_submodule("fc2")(x))


def test_the_residual_blocks_start_as_the_book_has_them() -> None:
    block = get_model("netresdeep").get_submodule("resblocks.3")
    assert (block.get_parameter("batch_norm.weight") == 0.5).all()
    assert (block.get_parameter("batch_norm.bias") == 0).all()
    spread = block.get_parameter("conv.weight").std().item()
    assert spread == pytest.approx((2 / (32 * 9)) ** 0.5, rel=0.05)  # He et al. (2015)


class ChapterNet(nn.Module):
    """The baseline as the chapter's reader types it: its state_dict and ours are one."""

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


def test_a_state_dict_of_the_chapter_loads_and_means_the_same() -> None:
    theirs, ours = ChapterNet(), get_model("net")
    ours.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.randn(5, 3, 32, 32)
    torch.testing.assert_close(ours(images), theirs(images))
