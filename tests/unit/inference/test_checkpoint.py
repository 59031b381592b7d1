"""Trained networks on disk."""

import io
import json
import math
import os
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cifar2.data.dataset import Preparation
from cifar2.errors import FileError, MissingFile
from cifar2.inference import checkpoint
from cifar2.inference.checkpoint import Description
from cifar2.models import list_models
from tests.conftest import ROOT
from tests.unit.settings import build, settings

NET = Description("net", {"kernel_size": 3}, ["a", "b"], "cifar10")


def saved(content: object) -> bytes:
    """Return what `torch.save` writes."""
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def described(**changes: object) -> bytes:
    """Return a model.json as it was before there was a choice of kernels."""
    usual = {"model": "net", "config": {}, "classes": ["a", "b"], "dataset": "cifar10"}
    return json.dumps(usual | changes).encode()


# Writing


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("net", {"kernel_size": 3}),
        ("airbench", {"n_chans1": 2}),
        ("netresdeep", dict(n_chans1=32, n_blocks=100, shared_blocks=True, kernel_size=3)),
    ],
    ids=str,
)
def test_network_comes_back_as_it_was(name: str, config: dict[str, Any], tmp_path: Path) -> None:
    network = build(name, 3, **config)
    own = Preparation((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    description = Description(name, config, ["a", "b", "c"], "mine", own)
    checkpoint.save(network, description, tmp_path / "model.pt")
    assert network.training
    back, back_description = checkpoint.load(str(tmp_path / "model.pt"))
    assert back_description == description
    assert not back.training
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(back(images), network.eval()(images))
    # What others see is a plain state_dict, which has shared weights once.
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    assert state.keys() == network.state_dict().keys()
    size = sum(4 * p.numel() for p in network.parameters())
    assert (tmp_path / "model.pt").stat().st_size < 1.2 * size + 40_000


def test_description_has_exact_bytes(tmp_path: Path) -> None:
    """A kernel of 3 is left out: the recorded hash of every network relies on these bytes."""
    for kernel_size, written in ((3, {}), (5, {"kernel_size": 5})):
        config = {"n_chans1": 8, "kernel_size": kernel_size}
        description = Description("netbn", config, ["cat", "dog"], "cifar10")
        checkpoint.save(build("netbn", **config), description, tmp_path / "model.pt")
        expected = {
            "model": "netbn",
            "config": {"n_chans1": 8} | written,
            "classes": ["cat", "dog"],
            "dataset": "cifar10",
            "normalization": {"mean": [0.4915, 0.4823, 0.4468], "std": [0.247, 0.2435, 0.2616]},
        }
        assert (tmp_path / "model.json").read_text() == json.dumps(expected, indent=2) + "\n"


# Reading


def test_weights_load_as_others_save_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, state = tmp_path / "birds_vs_airplanes.pt", build("net").state_dict()
    half = {name: weight.half() for name, weight in state.items()}
    compiled = {f"module._orig_mod.{name}": weight for name, weight in state.items()}
    for content in (half, compiled, {"epoch": 3, "model_state_dict": state}):
        for tag in ("cuda:0", "mps"):  # as if the weights had been there
            monkeypatch.setattr(torch.serialization, "location_tag", lambda _, tag=tag: tag)
            torch.save(content, path, _use_new_zipfile_serialization=tag == "mps")
            network, _ = checkpoint.load(path, NET)  # without a .json file
            for name, weight in network.state_dict().items():
                assert torch.allclose(weight, state[name], atol=1e-3)


NOT_A_NETWORK = "not a trained network ("
OF_ANOTHER = NOT_A_NETWORK + "Error(s) in loading state_dict for "
WEIGHTS = build("net").state_dict()
RENAMED = {name.replace("conv1", "first"): weight for name, weight in WEIGHTS.items()}
WRONG = OF_ANOTHER + 'Net: Missing key(s) in state_dict: "conv1.weight", "conv1.bias". Unexpected'
NAN = WEIGHTS | {"conv1.bias": torch.full((16,), math.nan)}
NO_WEIGHTS: list[object] = [3, {"x": 3}]
NO_DESCRIPTIONS = [b"\xff", b"[]", b"{}", described(config={"width": 3}), described(classes=2)]
NO_DESCRIPTIONS.append(described(normalization={"mean": [0, 0, 0], "std": [1, 1, 0]}))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("model.pt", b"junk", "damaged ("),
        ("model.pt", saved(nn.Linear(1, 1)), "a whole pickled network or object (torch.nn.modu"),
        *(("model.pt", saved(content), NOT_A_NETWORK) for content in NO_WEIGHTS),
        ("model.pt", saved(RENAMED), WRONG),
        ("model.pt", saved(NAN), NOT_A_NETWORK + "some weights are not finite)"),
        *(("model.json", content, NOT_A_NETWORK) for content in NO_DESCRIPTIONS),
        ("model.json", described(model="other"), NOT_A_NETWORK + "'other': unknown model;"),
        ("model.json", described(model="vgg"), OF_ANOTHER),
        ("model.json", described(classes=["a", "b", "c"]), OF_ANOTHER),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_missing_or_damaged_file_is_named_in_one_line(
    name: str, content: bytes, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt"
    checkpoint.save(build("net"), NET, path)
    (tmp_path / name).unlink()
    with pytest.raises(MissingFile) as missing:
        checkpoint.load(path)
    assert str(missing.value) == f"{tmp_path / name}: no such file"
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileError) as caught:
        checkpoint.load(path)
    assert not isinstance(caught.value, MissingFile)
    assert str(caught.value).startswith(f"{path}: {reason}")
    assert "\n" not in str(caught.value)


def test_code_loads_with_torch_weights_only_and_never_unpickles() -> None:
    files = [path for name in ("src", "stages", "zoo") for path in (ROOT / name).rglob("*.py")]
    code = "".join(path.read_text() for path in files)
    assert code.count("torch.load(") == code.count("weights_only=True") >= 2
    assert not re.search(r"import pickle|pickle\.load|from torch import .*\bload\b", code)


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        (
            "torch",
            r"a whole pickled network or object \(\w+.mkdir\), whose loading could run code; ",
        ),
        ("pickle", "a whole pickled "),
        (b"\x80\x02c\x1b[31mevil\nNet\n.", r"a whole pickled .* \(\\x1b\[31mevil\.Net\), "),
        (b"<!DOCTYPE html>", "damaged, or a file of pickle, of safetensors"),
        *((form, r"damaged \(") for form in (b"", b"junk", b"PK\x03\x04junk", b"\x80\x02.")),
    ],
)
def test_file_of_another_kind_is_named_in_one_line_and_no_code_in_it_is_run(
    form: str | bytes, reason: str, tmp_path: Path
) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "was run"),)

    path = tmp_path / "x.pt"
    if form == "torch":
        torch.save(Hostile(), path)
    else:
        path.write_bytes(form if isinstance(form, bytes) else pickle.dumps(Hostile(), 2))
    with pytest.raises(FileError, match=rf"x\.pt: {reason}.+$") as caught:
        checkpoint.load(path)
    assert str(caught.value).isprintable()
    assert os.listdir(tmp_path) == ["x.pt"]


# Taking weights over


def other(name: str, classes: list[str], **config: Any) -> tuple[nn.Module, Description]:
    config = settings(model__name=name).model.config() | config
    return build(name, len(classes), **config), Description(name, config, classes, "cifar10")


@pytest.mark.parametrize("classes", [["a", "b"], ["b", "a"], ["a", "b", "c"]], ids=str)
@pytest.mark.parametrize("name", list_models())
def test_all_layers_are_taken_over_but_the_last_where_the_classes_differ(
    name: str, classes: list[str], tmp_path: Path
) -> None:
    (source, given), (network, wanted) = other(name, ["a", "b"]), other(name, classes)
    checkpoint.save(source, given, tmp_path / "model.pt")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    *layers, last = dict.fromkeys(key.partition(".")[0] for key in before)
    said = checkpoint.take_over(tmp_path / "model.pt", network, wanted)
    new = last if classes != ["a", "b"] else "none"
    assert said == f"taken over: {', '.join(layers + [last] * (new != last))}; new: {new}"
    for key, value in network.state_dict().items():
        expected = before if key.partition(".")[0] == new else source.state_dict()
        assert value.equal(expected[key]), key


@pytest.mark.parametrize(
    ("given", "wanted", "reason"),
    [
        ({"name": "netwidth"}, {"name": "net"}, "a network 'netwidth', but model.name is 'net'"),
        ({"name": "netres", "n_chans1": 4}, {"name": "netres"}, "other shapes: its settings are {"),
        ({"name": "netresdeep", "n_blocks": 2}, {"name": "netresdeep"}, "other shapes: its sett"),
        (
            {"name": "netresdeep"},
            {"name": "netresdeep", "shared_blocks": True},
            "its blocks do not",
        ),
    ],
    ids=str,
)
def test_weights_of_a_network_that_does_not_fit_are_not_taken_over(
    given: dict[str, Any], wanted: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    checkpoint.save(*other(**given, classes=["a", "b"]), tmp_path / "model.pt")
    with pytest.raises(FileError, match=re.escape(f"model.pt: {reason}")):
        checkpoint.take_over(tmp_path / "model.pt", *other(**wanted, classes=["a", "b"]))
