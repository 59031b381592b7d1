"""Settings for tests."""

from typing import Any

import yaml
from torch import nn

from cifar2 import models, params
from cifar2.params import Params
from tests.conftest import ROOT


def _flat(text: str) -> dict[str, Any]:
    """Return settings, in YAML, as the arguments of `settings`."""
    groups = yaml.safe_load(text).items()
    return {f"{group}__{name}": value for group, values in groups for name, value in values.items()}


# For each setting that a training may depend on, another value than the default.
OTHERS = _flat("""
model: {name: vgg, n_chans1: 8, n_blocks: 2, dropout: 0.1, shared_blocks: true, kernel_size: 5}
train: {epochs: 3, lr: 0.5, optimizer: adam, momentum: 0.8, nesterov: true, schedule: cosine,
        batch_size: 7, hardest: 0.5, class_weights: balanced, seed: 4, threads: 5,
        precision: bfloat16, start: given, patience: 2, keep: best}
regularization: {l2: 0.1, weight_decay: 0.2, label_smoothing: 0.3}
augment: {flip: true, crop: 2}
""")
# For each of the others; `auto` and `cpu` may mean the same device.
NOT_OF_A_TRAINING = _flat("""
data: {classes: [cat, dog, frog], source: synthetic, size: 64, fit: pad, holdout: 0.2, fold: 3}
train: {device: cpu}
evaluation: {mirror: true, test: false}
""")
PLAIN = _flat("""
train: {optimizer: sgd, lr: 0.1, momentum: 0.0, nesterov: false, schedule: none, hardest: 1.0,
        class_weights: none, seed: 0, threads: 1, precision: float32}
regularization: {l2: 0.0, weight_decay: 0.0, label_smoothing: 0.0}
augment: {flip: false, crop: 0}
""")


def settings(**changes: Any) -> Params:
    """Return the settings of the project's params.yaml, some changed: `train__lr=3` is train.lr."""
    content = yaml.safe_load((ROOT / "params.yaml").read_bytes())
    for key, value in changes.items():
        group, name = key.split("__")
        content[group][name] = value
    return params.validate(Params, content, "params.yaml")


def plain(**changes: Any) -> Params:
    """Return settings of plain SGD, whatever the defaults in params.yaml are, some changed."""
    return settings(**PLAIN | changes)


def build(name: str, num_classes: int = 2, **config: Any) -> nn.Module:
    """Build a network at the defaults of params.yaml, but for `config`."""
    defaults = settings(model__name=name).model.config()
    return models.get_model(name, num_classes, **defaults | config)
