"""Trained networks on disk."""

import ast
import contextlib
import json
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from cifar2.errors import FileError, MissingFile
from cifar2.inference import checkpoint
from cifar2.inference.checkpoint import Card
from cifar2.models import get_model
from tests.conftest import ROOT, contents

CARD = Card("net", {}, ["a", "b"], "cifar10")


def save(folder: Path) -> Path:
    path = folder / "model.pt"
    checkpoint.save(get_model("net"), CARD, path)
    return path


# Writing


def test_network_comes_back_as_it_was(tmp_path: Path) -> None:
    network = get_model("netresdeep", 3, n_blocks=2)
    card = Card("netresdeep", {"n_blocks": 2}, ["a", "b", "c"], "synthetic")
    checkpoint.save(network, card, tmp_path / "model.pt")
    back, back_card = checkpoint.load(tmp_path / "model.pt")
    assert back_card == card
    assert not back.training
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(back(images), network.eval()(images))


def test_weights_are_a_plain_state_dict(tmp_path: Path) -> None:
    network = get_model("netbn")
    checkpoint.save(network, CARD, tmp_path / "model.pt")
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    assert state.keys() == network.state_dict().keys()
    for name, tensor in network.state_dict().items():
        assert torch.equal(state[name], tensor)


def test_card_has_exact_bytes(tmp_path: Path) -> None:
    card = Card("netresdeep", {"n_chans1": 8, "shared_blocks": True}, ["cat", "dog"], "cifar10")
    network = get_model("netresdeep", n_chans1=8, shared_blocks=True)
    checkpoint.save(network, card, tmp_path / "model.pt")
    assert (
        (tmp_path / "model.json").read_text()
        == """{
  "model": "netresdeep",
  "config": {
    "n_chans1": 8,
    "shared_blocks": true
  },
  "classes": [
    "cat",
    "dog"
  ],
  "dataset": "cifar10",
  "normalization": {
    "mean": [
      0.4915,
      0.4823,
      0.4468
    ],
    "std": [
      0.247,
      0.2435,
      0.2616
    ]
  }
}
"""
    )


def test_same_weights_give_the_same_bytes_in_any_memory_format(tmp_path: Path) -> None:
    network = get_model("netbn")
    checkpoint.save(network, CARD, tmp_path / "one" / "model.pt")
    checkpoint.save(
        network.to(memory_format=torch.channels_last), CARD, tmp_path / "other" / "model.pt"
    )
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


def test_shared_weights_are_written_once(tmp_path: Path) -> None:
    config = {"n_blocks": 9, "shared_blocks": True}
    network = get_model("netresdeep", **config)
    checkpoint.save(network, Card("netresdeep", config, ["a", "b"], "cifar10"), tmp_path / "m.pt")
    size = sum(4 * p.numel() for p in network.parameters())
    assert (tmp_path / "m.pt").stat().st_size < 1.2 * size
    back, _ = checkpoint.load(tmp_path / "m.pt")
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(back(images), network.eval()(images))


def test_saving_leaves_the_network_as_it_is(tmp_path: Path) -> None:
    network = get_model("net").to(memory_format=torch.channels_last)
    weight = network.get_parameter("conv2.weight")
    checkpoint.save(network, CARD, tmp_path / "model.pt")
    assert network.get_parameter("conv2.weight") is weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert weight.requires_grad
    assert network.training


# Reading what others have saved


def test_path_may_be_text(tmp_path: Path) -> None:
    network, card = checkpoint.load(str(save(tmp_path)))
    assert card.name == "net" and not network.training


def test_weights_of_data_parallel_are_loaded(tmp_path: Path) -> None:
    """Its names of weights begin with "module."."""
    path = save(tmp_path)
    network, _ = checkpoint.load(path)
    torch.save(nn.DataParallel(network).state_dict(), path)
    assert set(torch.load(path, weights_only=True)) == {f"module.{n}" for n in network.state_dict()}
    again, _ = checkpoint.load(path)
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(again(images), network(images))


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    path = save(tmp_path)
    state = torch.load(path, weights_only=True)
    torch.save({name.replace("conv1", "first"): each for name, each in state.items()}, path)
    with pytest.raises(FileError) as caught:
        checkpoint.load(path)
    assert str(caught.value) == (
        f"{path}: not a trained network (Error(s) in loading state_dict for Net: Missing key(s) in"
        ' state_dict: "conv1.weight", "conv1.bias". Unexpected key(s) in state_dict:'
        ' "first.weight", "first.bias".)'
    )


# Reading what is damaged


@pytest.mark.parametrize("name", ["model.pt", "model.json"])
def test_missing_file_is_named(name: str, tmp_path: Path) -> None:
    path = save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(MissingFile) as caught:
        checkpoint.load(path)
    assert str(caught.value) == f"{tmp_path / name}: no such file"


def assert_not_a_network(path: Path, reason: str) -> None:
    with pytest.raises(FileError) as caught:
        checkpoint.load(path)
    assert not isinstance(caught.value, MissingFile)
    assert str(caught.value).startswith(f"{path}: {reason}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04junk", b"\x80\x02."])
def test_damaged_weights_are_named(content: bytes, tmp_path: Path) -> None:
    path = save(tmp_path)
    path.write_bytes(content)
    assert_not_a_network(path, "damaged (")


@pytest.mark.parametrize(
    "content",
    [
        b"junk",
        b"\xff",
        b"[]",
        b"{}",
        b"null",
        100_000 * b"[",
        b'{"model": "other", "config": {}, "classes": ["a", "b"], "dataset": "cifar10"}',
        b'{"model": "net", "config": {"width": 3}, "classes": ["a", "b"], "dataset": "cifar10"}',
        b'{"model": "net", "config": [], "classes": ["a", "b"], "dataset": "cifar10"}',
        b'{"model": "net", "config": {}, "classes": 2, "dataset": "cifar10"}',
    ],
)
def test_damaged_card_is_named(content: bytes, tmp_path: Path) -> None:
    path = save(tmp_path)
    path.with_suffix(".json").write_bytes(content)
    assert_not_a_network(path, "not a trained network (")


@pytest.mark.parametrize(
    ("key", "value"), [("model", "vgg"), ("classes", ["a", "b", "c"]), ("model", "netbn")]
)
def test_card_of_another_network_is_an_error(key: str, value: object, tmp_path: Path) -> None:
    path = save(tmp_path)
    card = json.loads(path.with_suffix(".json").read_bytes())
    path.with_suffix(".json").write_text(json.dumps(card | {key: value}))
    assert_not_a_network(path, "not a trained network (Error(s) in loading state_dict for ")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["fc.weight", "stem_batchnorm.running_var"])
def test_weights_that_are_not_finite_are_an_error(name: str, value: float, tmp_path: Path) -> None:
    network = get_model("netstem", n_chans1=2)
    network.state_dict()[name].view(-1)[1] = value
    card = Card("netstem", {"n_chans1": 2}, ["a", "b"], "cifar10")
    checkpoint.save(network, card, tmp_path / "model.pt")
    assert_not_a_network(
        tmp_path / "model.pt", "not a trained network (some weights are not finite)"
    )


@pytest.mark.parametrize("content", [[], 3, {"x": 3}, {1: 2}, {"conv1.weight": "x"}])
def test_other_content_than_weights_is_an_error(content: object, tmp_path: Path) -> None:
    path = save(tmp_path)
    torch.save(content, path)
    assert_not_a_network(path, "not a trained network (")


def test_pickled_code_is_not_run(tmp_path: Path) -> None:
    path = save(tmp_path)
    torch.save(nn.Linear(1, 1), path)  # a whole module takes code to read
    assert_not_a_network(path, "damaged (Weights only load failed")


ANYTHING = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@ANYTHING
@given(
    start=st.sampled_from([b"", b"PK\x03\x04", b"\x1f\x8b\x08\x00", b"\x93NUMPY", b"\x80\x02"]),
    rest=st.binary(max_size=500),
)
def test_any_bytes_are_an_error(start: bytes, rest: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    if not path.exists():
        save(tmp_path)
    path.write_bytes(start + rest)
    assert_not_a_network(path, "damaged (")


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("intact"))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@ANYTHING
@given(
    change=st.binary(min_size=1, max_size=20),
    cut=st.booleans(),
    place=st.floats(0, 1, allow_nan=False),
)
def test_any_damage_is_read_or_an_error(
    change: bytes, cut: bool, place: float, intact: Path, tmp_path: Path
) -> None:
    """Somewhere other bytes are written over the good ones, and the rest may be cut off."""
    good = intact.read_bytes()
    at = round(place * len(good))
    path = tmp_path / "model.pt"
    path.write_bytes(good[:at] + change + (b"" if cut else good[at + len(change) :]))
    path.with_suffix(".json").write_bytes(intact.with_suffix(".json").read_bytes())
    with contextlib.suppress(FileError):
        checkpoint.load(path)


def test_code_loads_with_torch_weights_only_and_never_unpickles() -> None:
    loads = 0
    for folder in ("src", "stages", "zoo"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text()
            assert "pickle.load" not in text and "import pickle" not in text, path
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                    loads += 1
                    options = [ast.unparse(keyword) for keyword in node.keywords]
                    assert "weights_only=True" in options, path
    assert loads >= 2
