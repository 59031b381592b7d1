"""Settings for tests."""

from typing import Any

import yaml
from torch import nn

from cifar2 import models, params
from cifar2.params import Params
from tests.conftest import ROOT

# For each setting of the groups that a training depends on, another value than the default.
OTHERS: dict[str, Any] = {
    "model__name": "vgg",
    "model__n_chans1": 8,
    "model__n_blocks": 2,
    "model__dropout": 0.1,
    "model__shared_blocks": True,
    "model__kernel_size": 5,
    "train__epochs": 3,
    "train__lr": 0.5,
    "train__optimizer": "adam",
    "train__momentum": 0.8,
    "train__nesterov": True,
    "train__schedule": "cosine",
    "train__batch_size": 7,
    "train__hardest": 0.5,
    "train__seed": 4,
    "train__threads": 5,
    "train__precision": "bfloat16",
    "regularization__l2": 0.1,
    "regularization__weight_decay": 0.2,
    "regularization__label_smoothing": 0.3,
    "augment__flip": True,
    "augment__crop": 2,
}


def settings(**changes: Any) -> Params:
    """Return the settings of the project's params.yaml, some changed: `train__lr=3` is train.lr."""
    content = yaml.safe_load((ROOT / "params.yaml").read_bytes())
    for key, value in changes.items():
        group, name = key.split("__")
        content[group][name] = value
    return params.validate(Params, content, "params.yaml")


def plain(**changes: Any) -> Params:
    """Return settings of plain SGD, whatever the defaults in params.yaml are, some changed."""
    usual = {
        "train__optimizer": "sgd",
        "train__lr": 0.1,
        "train__momentum": 0.0,
        "train__nesterov": False,
        "train__schedule": "none",
        "train__hardest": 1.0,
        "train__seed": 0,
        "train__precision": "float32",
        "regularization__l2": 0.0,
        "regularization__weight_decay": 0.0,
        "regularization__label_smoothing": 0.0,
        "augment__flip": False,
        "augment__crop": 0,
    }
    return settings(**usual | changes)


def build(name: str, num_classes: int = 2, **config: Any) -> nn.Module:
    """Build a network at the defaults of params.yaml, but for `config`."""
    defaults = settings(model__name=name).model.config()
    return models.get_model(name, num_classes, **defaults | config)
