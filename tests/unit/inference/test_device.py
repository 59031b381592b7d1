"""Which device a run computes on, and how PyTorch computes there."""

import pytest
import torch

from cifar2.errors import UserError
from cifar2.inference import device


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> list[torch.device]:
    """Pretend to have so many CUDA devices, which CUDA can use or not, and MPS or not.

    Return the devices that are made the current one.
    """
    cards, usable, mps = request.param
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: usable and cards > 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    made: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", made.append)
    return made


CPU_ONLY, MPS, TWO_CARDS = (0, True, False), (0, True, True), (2, True, True)
OLD_DRIVER = (1, False, False)  # such a card is counted all the same


@pytest.mark.parametrize(
    ("machine", "name", "expected"),
    [
        (CPU_ONLY, "auto", "cpu"),
        (CPU_ONLY, "mps", "devices here: cpu"),
        (MPS, "auto", "mps"),
        (TWO_CARDS, "cpu", "cpu"),
        (TWO_CARDS, "auto", "cuda:0"),
        (TWO_CARDS, "cuda:1", "cuda:1"),
        (TWO_CARDS, "cuda:2", "devices here: cuda:0, cuda:1, mps, cpu"),
        (OLD_DRIVER, "auto", "cpu"),
        (OLD_DRIVER, "cuda", "devices here: cpu"),
    ],
    indirect=["machine"],
)
def test_name_means_a_device_that_becomes_the_current_one_or_is_not_here(
    machine: list[torch.device], name: str, expected: str
) -> None:
    if expected.startswith("devices"):
        with pytest.raises(UserError) as caught:
            device.prepare(name, threads=1)
        assert str(caught.value) == f"train.device: {name!r} is not on this machine; {expected}"
    else:
        place = torch.device(expected)
        assert device.resolve(name) == device.prepare(name, threads=1) == place
        assert machine == ([place] if place.type == "cuda" else [])


def test_prepare_sets_threads_and_deterministic_algorithms_and_tf32_only_where_asked() -> None:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    cudnn.deterministic = False
    for threads, options in ((3, {"tf32": True}), (1, {})):
        device.prepare("cpu", threads=threads, **options)
        assert torch.get_num_threads() == threads
        assert matmul.allow_tf32 is cudnn.allow_tf32 is bool(options)
        assert cudnn.deterministic
