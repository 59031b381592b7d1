"""What holds for all architectures, and how they are found."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from bench import chapter
from cifar2 import models
from cifar2.models import config_keys, get_model, list_models
from cifar2.models._layers import Conv2d, cosine_transform
from tests.conftest import ROOT

# The numbers of parameters for two classes, at the defaults of params.yaml.
PARAMETERS = {
    "airbench": 497_544,
    "net": 18_090,
    "net1": 38_482,
    "netbn": 38_482,
    "netdepth": 16_130,
    "netdropout": 38_386,
    "netres": 16_130,
    "netresdeep": 159_330,
    "netstem": 23_394,
    "netwidth": 38_386,
    "vgg": 3_834_178,
}


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


# Names


def test_list_has_every_architecture_in_alphabetical_order() -> None:
    assert list_models() == sorted(PARAMETERS)


def test_listing_the_names_does_not_import_torch() -> None:
    code = "import sys, cifar2.models as m; m.list_models(); print('torch' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT / "src", capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("name", ["../x", "_layers", "Net", ""])
def test_unknown_model_is_an_error_that_lists_the_models(name: str) -> None:
    with pytest.raises(ValueError) as caught:
        get_model(name)
    assert str(caught.value).startswith(f"{name!r}: unknown model; models: airbench, net, net1")


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("airbench", ["n_chans1"]),
        ("net", ["kernel_size"]),
        ("net1", ["n_chans1", "dropout", "kernel_size"]),
        ("netbn", ["n_chans1", "kernel_size"]),
        ("netdepth", ["n_chans1", "kernel_size"]),
        ("netdropout", ["n_chans1", "dropout", "kernel_size"]),
        ("netres", ["n_chans1", "kernel_size"]),
        ("netresdeep", ["n_chans1", "n_blocks", "shared_blocks", "kernel_size"]),
        ("netstem", ["n_chans1"]),
        ("netwidth", ["n_chans1", "kernel_size"]),
        ("vgg", []),
    ],
)
def test_config_keys_are_what_the_network_takes(name: str, keys: list[str]) -> None:
    assert config_keys(name) == keys


def test_setting_that_the_network_does_not_take_is_an_error() -> None:
    with pytest.raises(TypeError, match="n_blocks"):
        get_model("netwidth", n_blocks=2)


# Files


@pytest.mark.parametrize("name", PARAMETERS)
def test_file_imports_no_other_architecture(name: str) -> None:
    """A stage depends on the file of one network only, so a change to another would pass unseen."""
    tree = ast.parse(Path(models.__file__).with_name(f"{name}.py").read_text())
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.module and node.level == 0
            imported.add(node.module)
    ours = {module for module in imported if not module.startswith("torch")}
    assert ours <= {"math", "cifar2.models._layers"}


@pytest.mark.parametrize("name", PARAMETERS)
def test_docstring_has_source_shapes_and_number_of_parameters(name: str) -> None:
    text = type(get_model(name)).__doc__ or ""
    assert "Source" in text
    assert "Shapes: [N, 3, 32, 32] → " in text
    assert f"{PARAMETERS[name]:,} parameters" in text or f": {PARAMETERS[name]:,} at" in text


# Networks


@pytest.mark.parametrize("name", PARAMETERS)
def test_number_of_parameters(name: str) -> None:
    assert count(get_model(name)) == PARAMETERS[name]


@pytest.mark.parametrize("num_classes", [2, 10])
@pytest.mark.parametrize("name", PARAMETERS)
def test_network_gives_a_logit_per_class(name: str, num_classes: int) -> None:
    logits = get_model(name, num_classes).eval()(torch.zeros(3, 3, 32, 32))
    assert logits.shape == (3, num_classes)


@pytest.mark.parametrize("name", [n for n in PARAMETERS if "n_chans1" in config_keys(n)])
def test_n_chans1_is_the_width_of_the_first_convolution(name: str) -> None:
    model = get_model(name, n_chans1=10)
    first = next(p for p in model.parameters() if p.ndim == 4)
    assert first.shape[0] == 10
    assert model.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 2)


@pytest.mark.parametrize("name", [n for n in PARAMETERS if "kernel_size" in config_keys(n)])
def test_kernel_size_is_that_of_every_convolution(name: str) -> None:
    model = get_model(name, kernel_size=5)
    kernels = {tuple(p.shape[2:]) for p in model.parameters() if p.ndim == 4}
    assert kernels == {(5, 5)}
    assert model.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 2)


def test_weights_are_drawn_from_the_global_generator() -> None:
    weights = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        weights.append(get_model("net").get_parameter("conv1.weight"))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("name", [network.__name__.lower() for network in chapter.NETS])
def test_state_dict_of_the_book_s_form_loads_and_gives_the_same(name: str) -> None:
    """The book's networks have torch's own convolution, and pool behind the activation."""
    theirs, ours = chapter.get_model(name).double(), get_model(name).double()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.randn(3, 3, 32, 32, dtype=torch.float64)
    gradients = []
    outputs = []
    for model in (theirs, ours):
        torch.manual_seed(1)  # dropout
        outputs.append(model.train()(images))
        outputs[-1].square().sum().backward()
        gradients.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(outputs[1], outputs[0])
    torch.testing.assert_close(gradients[1], gradients[0])


@pytest.mark.parametrize(("kernel_size", "padding"), [(1, 0), (3, 1), (5, 2)])
def test_convolution_is_torch_s_own(kernel_size: int, padding: int) -> None:
    ours = Conv2d(3, 5, kernel_size).double()
    theirs = nn.Conv2d(3, 5, kernel_size, padding=padding).double()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    images = torch.randn(2, 3, 8, 9, dtype=torch.float64)
    for convolution in (ours, theirs):
        convolution(images).square().sum().backward()
    torch.testing.assert_close(ours(images), theirs(images))
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)
    assert ours.bias is not None and theirs.bias is not None
    torch.testing.assert_close(ours.bias.grad, theirs.bias.grad)


@pytest.mark.parametrize("size", [2, 4])
def test_filters_keep_lengths_and_angles(size: int) -> None:
    filters = cosine_transform(size).reshape(-1, 3 * size**2)
    torch.testing.assert_close(filters @ filters.T, torch.eye(len(filters)))


def test_filters_are_of_a_colour_and_a_frequency() -> None:
    transform = cosine_transform(4)
    torch.testing.assert_close(transform[0, 0, 0], torch.full((3, 4, 4), 48**-0.5))
    falling = transform[2, 0, 1]  # green beside red and blue, half a wave from left to right
    torch.testing.assert_close(falling[1], -2 * falling[0])
    torch.testing.assert_close(falling[0], -falling[0].flip(1))
    torch.testing.assert_close(falling[0], falling[0, :1].expand(4, 4))


@pytest.mark.parametrize("name", ["airbench", "netstem"])
def test_fixed_filters_are_no_weights(name: str) -> None:
    model = get_model(name)
    assert "filters" in dict(model.named_buffers())
    names = [*model.state_dict(), *(name for name, _ in model.named_parameters())]
    assert not [name for name in names if "filters" in name]


def test_stem_has_ten_low_frequencies_of_brightness_and_three_of_each_other_colour() -> None:
    filters = get_model("netstem").get_buffer("filters")
    parts = torch.einsum("ncij,kuvcij->nkuv", filters, cosine_transform(4)).round().nonzero()
    chosen = [(k, u, v) for _, k, u, v in parts.tolist()]
    limits = (4, 2, 2)
    every = [(k, u, v) for k in range(3) for u in range(4) for v in range(4)]
    assert chosen == [(k, u, v) for k, u, v in every if u + v < limits[k]]
    assert len(chosen) == len(filters) == 16
