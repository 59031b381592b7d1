"""The device that a run computes on, and how PyTorch computes there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar2.errors import UserError

if TYPE_CHECKING:
    import torch


def resolve(name: str) -> torch.device:
    """Return the device that the setting `train.device` means on this machine.

    Args:
        name: "cpu", "cuda", "cuda:N", "mps", or "auto" for the first of cuda, mps, cpu.

    Raises:
        UserError: if this machine does not have that device.
    """
    import torch  # here: it takes seconds, and the name alone may be enough

    # A card whose driver is too old for this PyTorch is counted, but not available.
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    here = [f"cuda:{index}" for index in range(count)]
    if torch.backends.mps.is_available():
        here.append("mps")
    here.append("cpu")
    if name == "auto" or (name == "cuda" and here[0] == "cuda:0"):
        name = here[0]
    if name not in here:
        known = ", ".join(here)
        raise UserError(f"train.device: {name!r} is not on this machine; devices here: {known}")
    return torch.device(name)


def prepare(name: str, *, threads: int, tf32: bool = False) -> torch.device:
    """Return the device `name`, as `resolve` does, and set how PyTorch computes in this process.

    On CUDA that is with reproducible algorithms, and with the device as the current one, whose
    random generator PyTorch uses where none is named.

    Args:
        threads: how many CPU threads compute.
        tf32: let CUDA round the factors of matrix products and convolutions to 10 bits.
    """
    import torch

    place = resolve(name)
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32  # True is cuDNN's own default
    torch.backends.cudnn.deterministic = True
    if place.type == "cuda":
        torch.cuda.set_device(place)
    return place
