"""What holds for all architectures, and how they are found."""

import inspect

import pytest
import torch
from torch import nn

from cifar2 import models
from tests.unit.settings import build

# For two classes, at the defaults of params.yaml: the number of parameters at 32 and at 64 pixels,
# and the settings that it takes.
NETWORKS = {
    "airbench": (497_544, 497_544, ["n_chans1"]),
    "net": (18_090, 67_242, ["kernel_size"]),
    "net1": (38_482, 136_786, ["n_chans1", "dropout", "kernel_size"]),
    "netbn": (38_482, 136_786, ["n_chans1", "kernel_size"]),
    "netdepth": (16_130, 40_706, ["n_chans1", "kernel_size"]),
    "netdropout": (38_386, 136_690, ["n_chans1", "dropout", "kernel_size"]),
    "netres": (16_130, 40_706, ["n_chans1", "kernel_size"]),
    "netresdeep": (159_330, 355_938, ["n_chans1", "n_blocks", "shared_blocks", "kernel_size"]),
    "netstem": (23_394, 23_394, ["n_chans1"]),
    "netwidth": (38_386, 136_690, ["n_chans1", "kernel_size"]),
    "vgg": (3_834_178, 10_125_634, []),
}
EVERY = pytest.mark.parametrize("name", models.list_models())


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


# Names and settings


@pytest.mark.parametrize("name", ["../x", "_layers", "Net"])
def test_unknown_model_is_an_error_that_lists_the_models(name: str) -> None:
    with pytest.raises(ValueError, match=f"^'{name}': unknown model; models: airbench, net, net1"):
        models.get_model(name)


@EVERY
def test_network_has_no_default_and_is_built_only_with_its_settings(name: str) -> None:
    """params.yaml is the only place with defaults."""
    keys = NETWORKS[name][2]
    signature = inspect.signature(type(build(name))).parameters
    assert all(each.default is inspect.Parameter.empty for each in signature.values())
    assert [each for each in signature if each not in ("num_classes", "size")] == keys
    assert models.config_keys(name) == keys
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        build(name, colour=2)


# Networks


@EVERY
def test_number_of_weights_is_known_and_in_the_docstring(name: str) -> None:
    model, (expected, at_64, _) = build(name), NETWORKS[name]
    assert count(model) == expected and count(build(name, size=64)) == at_64
    assert not any("filters" in key for key in model.state_dict())  # fixed ones are no weights
    text = type(model).__doc__ or ""
    assert "Source" in text
    assert "Shapes: [N, 3, 32, 32] → " in text
    assert f"{expected:,} parameters" in text or f": {expected:,} at" in text


@EVERY
def test_network_has_the_classes_the_width_and_the_kernels_that_were_asked_for(name: str) -> None:
    takes = NETWORKS[name][2]
    asked = {"n_chans1": 10, "kernel_size": 5}
    for size in (32, 96):
        chosen = {key: asked[key] for key in asked.keys() & set(takes)}
        model = build(name, 10, size=size, **chosen)
        assert model.eval()(torch.zeros(3, 3, size, size)).shape == (3, 10)
    kernels = [p.shape for p in model.parameters() if p.ndim == 4]
    assert "n_chans1" not in takes or kernels[0][0] == 10
    assert "kernel_size" not in takes or {shape[2:] for shape in kernels} == {(5, 5)}


# Fixed filters
