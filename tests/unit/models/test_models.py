"""What holds for all architectures, and how they are found."""

import inspect

import pytest
import torch
from torch import nn

from cifar2 import models
from tests.unit.settings import build

# The number of parameters for two classes, at the defaults of params.yaml; the settings it takes.
NETWORKS = {
    "airbench": (497_544, ["n_chans1"]),
    "net": (18_090, ["kernel_size"]),
    "net1": (38_482, ["n_chans1", "dropout", "kernel_size"]),
    "netbn": (38_482, ["n_chans1", "kernel_size"]),
    "netdepth": (16_130, ["n_chans1", "kernel_size"]),
    "netdropout": (38_386, ["n_chans1", "dropout", "kernel_size"]),
    "netres": (16_130, ["n_chans1", "kernel_size"]),
    "netresdeep": (159_330, ["n_chans1", "n_blocks", "shared_blocks", "kernel_size"]),
    "netstem": (23_394, ["n_chans1"]),
    "netwidth": (38_386, ["n_chans1", "kernel_size"]),
    "vgg": (3_834_178, []),
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
    keys = NETWORKS[name][1]
    signature = inspect.signature(type(build(name))).parameters
    assert all(each.default is inspect.Parameter.empty for each in signature.values())
    assert list(signature) == ["num_classes", *models.config_keys(name)] == ["num_classes", *keys]
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        build(name, colour=2)


# Networks


@EVERY
def test_number_of_weights_is_known_and_in_the_docstring(name: str) -> None:
    model, (expected, _) = build(name), NETWORKS[name]
    assert count(model) == expected
    assert not any("filters" in key for key in model.state_dict())  # fixed ones are no weights
    text = type(model).__doc__ or ""
    assert "Source" in text
    assert "Shapes: [N, 3, 32, 32] → " in text
    assert f"{expected:,} parameters" in text or f": {expected:,} at" in text


@EVERY
def test_network_has_the_classes_the_width_and_the_kernels_that_were_asked_for(name: str) -> None:
    takes = NETWORKS[name][1]
    asked = {"n_chans1": 10, "kernel_size": 5}
    model = build(name, 10, **{key: asked[key] for key in asked.keys() & set(takes)})
    assert model.eval()(torch.zeros(3, 3, 32, 32)).shape == (3, 10)
    kernels = [p.shape for p in model.parameters() if p.ndim == 4]
    assert "n_chans1" not in takes or kernels[0][0] == 10
    assert "kernel_size" not in takes or {shape[2:] for shape in kernels} == {(5, 5)}


# Fixed filters
