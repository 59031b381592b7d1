"""params.yaml: what is taken, and what is said of the rest."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from cifar2 import UserError, params
from tests.conftest import ROOT, write


def complaint(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        params.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_the_project_s_own_settings_are_the_chapter_s() -> None:
    settings = params.load(ROOT / "params.yaml")
    assert settings.data.classes == ["airplane", "bird"]
    assert (settings.model.name, settings.model.n_chans1) == ("net", 32)
    assert (settings.train.epochs, settings.train.lr, settings.train.batch_size) == (100, 0.01, 64)


def test_every_setting_has_its_comment() -> None:
    lines = (ROOT / "params.yaml").read_text().splitlines()
    for above, line in itertools.pairwise(lines):
        if line.startswith("  ") and ":" in line and not line.lstrip().startswith("#"):
            assert "  # " in line or above.lstrip().startswith("#"), line


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"model__name": "netresdep"},
            "model.name: 'netresdep' is no model; did you mean 'netresdeep'? models: airbench, "
            "net, net1, netbn, netdepth, netdropout, netres, netresdeep, netstem, netwidth, vgg",
        ),
        ({"model__name": "../x"}, "model.name: '../x' is no model; models: airbench, net, net1"),
        ({"model__n_chans1": 1}, "model.n_chans1: 1 is not allowed; input should be greater than"),
        ({"model__shared_blocks": "yes"}, "model.shared_blocks: 'yes' is not allowed; input"),
        ({"model__dropout": 1.0}, "model.dropout: 1.0 is not allowed; input should be less than 1"),
        (
            {"train__epoch": 3},
            "train.epoch: is no setting; did you mean 'epochs'? settings here: device, epochs, ",
        ),
        ({"train__epochs": 0}, "train.epochs: 0 is not allowed; input should be greater than or"),
        ({"train__epochs": 2.5}, "train.epochs: 2.5 is not allowed; input should be a valid int"),
        ({"train__epochs": True}, "train.epochs: True is not allowed; input should be a valid"),
        ({"train__lr": "fast"}, "train.lr: 'fast' is not allowed; input should be a valid number"),
        ({"train__lr": float("nan")}, "train.lr: nan is not allowed; input should be a finite"),
        ({"train__lr": -0.1}, "train.lr: -0.1 is not allowed; input should be greater than 0"),
        (
            {"train__optimizer": "adan"},
            "train.optimizer: 'adan' is not allowed; did you mean 'adam'? allowed: sgd, adam, ad",
        ),
        ({"train__nesterov": True}, "train.nesterov: True needs a train.momentum above 0"),
        ({"augment__crop": 32}, "augment.crop: 32 is not allowed; input should be less than or"),
        (
            {"train__device": "gpu"},
            "train.device: 'gpu' is no device; devices: auto, cpu, cuda, cuda:N, mps",
        ),
        ({"train__seed": None}, "train.seed: None is not allowed; input should be a valid integer"),
        (
            {"data__classes": ["airplane", "brid"]},
            "data.classes.1: 'brid' is not allowed; did you mean 'bird'? allowed: airplane, ",
        ),
        ({"data__classes": ["bird"]}, "data.classes: ['bird'] is not allowed; list should have at"),
        ({"data__classes": ["bird", "bird"]}, "data.classes: ['bird', 'bird'] names a class twice"),
        ({"data__source": "cifar"}, "data.source: 'cifar' is not allowed; did you mean 'cifar10'?"),
        ({"regularization__l2": -1}, "regularization.l2: -1 is not allowed; input should be"),
    ],
)
def test_a_wrong_value(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    assert complaint(write(tmp_path / "params.yaml", **change)).startswith(words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model: [", "is not valid YAML: "),
        ("- a\n- b", "the whole file: ['a', 'b'] is not allowed; "),
        ("", "the whole file: None is not allowed; "),
        ("model:\n  name: net\n", "data: is missing (and "),
        ("\x00", "is not valid YAML: "),
        ("a: 2001-99-99", "is not valid YAML: "),
        ("[" * 5000, "is not valid YAML: "),
    ],
)
def test_a_wrong_file(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    assert complaint(path).startswith(words)


def test_a_missing_file(tmp_path: Path) -> None:
    assert complaint(tmp_path / "params.yaml") == "No such file or directory"


def test_a_number_without_a_point_is_one(tmp_path: Path) -> None:
    """PyYAML reads 1e-2 as text, DVC as a number."""
    path = write(tmp_path / "params.yaml", train__lr="1e-2")
    assert params.load(path).train.lr == 0.01
