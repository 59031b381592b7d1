"""Which device a run computes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar2 import UserError

if TYPE_CHECKING:
    import torch


def resolve(name: str) -> torch.device:
    """Return the device that the setting `train.device` stands for on this machine.

    On CUDA, ask for true float32 (cuDNN's default is TF32) and for reproducible algorithms, and
    make that device the current one, whose random generator is meant where none is named.

    Args:
        name: "cpu", "cuda", "cuda:N", "mps", or "auto" for the first of cuda, mps, cpu here.

    Raises:
        UserError: if this machine does not have that device.
    """
    import torch  # here: it takes seconds, and the name alone may be enough

    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    # A card may be counted whose driver is too old for this PyTorch.
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    here = [f"cuda:{index}" for index in range(count)]
    if torch.backends.mps.is_available():
        here.append("mps")
    here.append("cpu")
    if name == "auto" or (name == "cuda" and here[0] == "cuda:0"):
        name = here[0]
    if name not in here:
        raise UserError(
            f"train.device: {name!r} is not on this machine, which has: {', '.join(here)}"
        )
    place = torch.device(name)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    return place
