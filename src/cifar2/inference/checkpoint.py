"""A trained network on disk: its weights as a plain state_dict, and how to use them, as JSON."""

from __future__ import annotations

import copy
import io
import json
import re
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from cifar2 import files, models
from cifar2.data.dataset import CIFAR10, Preparation, read_preparation
from cifar2.errors import FileError, MissingFile

# What a file is that PyTorch does not load, by its message, which advises to run the code in it.
OTHER_KINDS = {
    r"GLOBAL (\S+)": r"a whole pickled network or object (\1), whose loading could run code",
    "TorchScript": "a TorchScript archive",
    "Weights only": "damaged, or a file of pickle, of safetensors or the like",
}
TENSORS = "save tensors alone instead: torch.save(network.state_dict(), 'weights.pt')"
# Not written, so that the files from before there was a choice of kernels keep their bytes.
UNWRITTEN = {"kernel_size": 3}


class Description(NamedTuple):
    """What it takes to use a network's weights."""

    name: str
    config: dict[str, Any]  # what `models.get_model` was given, beside the number of classes
    classes: list[str]  # what the logits stand for, in their order
    source: str  # the data that it was trained on: "cifar10", "synthetic", or another name
    preparation: Preparation = CIFAR10  # of the pictures that it takes
    epoch: int | None = None  # that the weights are of, where they are not those of the last one


def save(network: nn.Module, description: Description, path: Path) -> None:
    """Write the weights to `path` and the description beside it as .json, without the device."""
    # The network as a whole, so that shared weights are written once.
    on_cpu = copy.deepcopy(network).cpu()
    state = {key: value.contiguous() for key, value in on_cpu.state_dict().items()}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    config, prepared = description.config, description.preparation
    config = {k: v for k, v in config.items() if UNWRITTEN.get(k) != v}
    content: dict[str, object] = {
        "model": description.name,
        "config": config,
        "classes": description.classes,
        "dataset": description.source,
        "normalization": {"mean": prepared.mean, "std": prepared.std},
    }
    # Left out where they have the usual values.
    content |= {k: v for k in ("size", "fit") if (v := getattr(prepared, k)) != getattr(CIFAR10, k)}
    if description.epoch is not None:
        content["epoch"] = description.epoch
    text = json.dumps(content, indent=2, ensure_ascii=False)
    files.write(path.with_suffix(".json"), f"{text}\n".encode())
    files.write(path, buffer.getvalue())


def load(path: Path | str, description: Description | None = None) -> tuple[nn.Module, Description]:
    """Read what `save` wrote; the network is on the CPU, in evaluation mode.

    With a description, no .json file is read. The names of weights may begin with "module." or
    "_orig_mod.", as `DataParallel` and `torch.compile` have them, and the `state_dict` may be part
    of a checkpoint with an optimizer's state and more.

    Raises:
        MissingFile: if one of the files is not there.
        FileError: if they are not a network's weights and its description.
    """
    path = Path(path)
    try:
        state = files.load(path)
    except FileError as error:
        for pattern, kind in OTHER_KINDS.items():
            if found := re.search(pattern, str(error.__cause__)):
                raise FileError(path, f"{found.expand(kind)}; {TENSORS}") from error
        raise
    try:
        if description is None:
            content = json.loads(path.with_suffix(".json").read_bytes())
            name, config = content["model"], content["config"]
            for key in UNWRITTEN.keys() & set(models.config_keys(name)):
                config.setdefault(key, UNWRITTEN[key])
            own = content.get("normalization", {})
            own |= {k: content[k] for k in ("size", "fit") if k in content}
            known = content["classes"], content["dataset"], read_preparation(own)
            description = Description(name, config, *known, content.get("epoch"))
        name, config, classes, *_ = description
        network = models.get_model(name, len(classes), description.preparation.size, **config)
        for key in ("state_dict", "model_state_dict", "model"):
            state = state.get(key, state)
        for prefix in ("module.", "_orig_mod.", "module."):  # either may be around the other
            nn.modules.utils.consume_prefix_in_state_dict_if_present(state, prefix)
        network.load_state_dict(state)
        if not all(weight.isfinite().all() for weight in network.state_dict().values()):
            raise ValueError("some weights are not finite")
    except FileNotFoundError as error:
        raise MissingFile(error.filename) from error
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        # In short, because `load_state_dict` names every weight that differs.
        reason = textwrap.shorten(str(error) or type(error).__name__, 300, placeholder=" …")
        raise FileError(path, f"not a trained network ({reason})") from error
    return network.eval(), description


def take_over(path: Path, network: nn.Module, wanted: Description) -> str:
    """Load the weights in a file into `network`, on the CPU; return which, in words.

    If their classes are not those of `wanted`, in the same order, the layer with an output for each
    class keeps its own weights.

    Raises:
        FileError: as `load`, or if they are of another architecture, or of other shapes.
    """
    source, given = load(path)
    if given.name != wanted.name:
        raise FileError(path, f"a network {given.name!r}, but model.name is {wanted.name!r}")
    own, taken, new = network.state_dict(), source.state_dict(), []  # `own`: its very memory
    if given.classes != wanted.classes:
        more = len(wanted.classes) + 1
        larger = models.get_model(wanted.name, more, wanted.preparation.size, **wanted.config)
        new = [key for key, value in larger.state_dict().items() if value.shape != own[key].shape]
    taken |= {key: own[key] for key in new}
    if {k: v.shape for k, v in taken.items()} != {k: v.shape for k, v in own.items()}:
        raise FileError(path, f"other shapes: its settings are {given.config}, not {wanted.config}")
    network.load_state_dict(taken)
    if not all(own[key].equal(value) for key, value in taken.items()):
        raise FileError(path, "its blocks do not share their weights, as those here do")
    layers = [dict.fromkeys(k.partition(".")[0] for k in taken if (k in new) == n) for n in (0, 1)]
    return f"taken over: {', '.join(layers[0])}; new: {', '.join(layers[1]) or 'none'}"
