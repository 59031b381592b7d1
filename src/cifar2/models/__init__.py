"""The architectures: one file each, named as `model.name` and imported when it is asked for.

A file holds a public class with the name of the file, apart from capitals (`netres.py`: `NetRes`).
It imports no other architecture, so that a change to one network concerns only that one; what
several of them use is in `_layers.py`.

Every network maps float images [N, 3, size, size] to logits [N, num_classes]; the shapes and the
counts of parameters in their docstrings are those at 32 pixels.

Where the book has pool(activation(x)), these have activation(pool(x)). Both give the same, because
the activations are monotonic, and the second applies the activation to a quarter of the values.

This module does not import torch, so that listing the names is fast.
"""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


def list_models() -> list[str]:
    """Return the names that `get_model` takes, sorted."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    return sorted(name for name in names if not name.startswith("_"))


def get_model(name: str, num_classes: int = 2, size: int = 32, **config: Any) -> nn.Module:
    """Build an architecture with freshly drawn weights (from torch's global generator).

    Args:
        name: one of `list_models()`.
        num_classes: how many logits the network gives.
        size: the height and width of the images that it takes, 32, 64, 96 or 128.
        config: what the architecture takes beside these; see `config_keys`.

    Raises:
        ValueError: if there is no such architecture.
        TypeError: if it does not take one of `config`, or one is missing.
    """
    if "size" in inspect.signature(_model_class(name)).parameters:
        config["size"] = size  # others take images of any size
    return _model_class(name)(num_classes, **config)


def config_keys(name: str) -> list[str]:
    """Return the names of the settings that an architecture takes beside those of all."""
    parameters = inspect.signature(_model_class(name)).parameters
    return [key for key in parameters if key not in ("num_classes", "size")]


def _model_class(name: str) -> type[nn.Module]:
    if name not in list_models():
        raise ValueError(f"{name!r}: unknown model; models: {', '.join(list_models())}")
    module = import_module(f"{__name__}.{name}")
    model_class: type[nn.Module] = {key.lower(): value for key, value in vars(module).items()}[name]
    return model_class
