"""Which device a run computes on, and how PyTorch computes there."""

from collections.abc import Iterator

import pytest
import torch

from cifar2.errors import UserError
from cifar2.inference import device


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Pretend to have so many CUDA devices, which CUDA can use or not, and MPS or not."""
    cards, usable, mps = request.param
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: usable and cards > 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


CPU_ONLY, MPS, TWO_CARDS = (0, True, False), (0, True, True), (2, True, True)
OLD_DRIVER = (1, False, False)  # such a card is counted all the same


@pytest.mark.parametrize(
    ("machine", "name", "expected"),
    [
        (CPU_ONLY, "auto", "cpu"),
        (CPU_ONLY, "cpu", "cpu"),
        (MPS, "auto", "mps"),
        (MPS, "mps", "mps"),
        (MPS, "cpu", "cpu"),
        (TWO_CARDS, "auto", "cuda:0"),
        (TWO_CARDS, "cuda", "cuda:0"),
        (TWO_CARDS, "cuda:1", "cuda:1"),
        (TWO_CARDS, "mps", "mps"),
        (TWO_CARDS, "cpu", "cpu"),
        (OLD_DRIVER, "auto", "cpu"),
    ],
    indirect=["machine"],
)
def test_name_means_a_device(machine: None, name: str, expected: str) -> None:
    assert device.resolve(name) == torch.device(expected)


@pytest.mark.parametrize(
    ("machine", "name", "here"),
    [
        (CPU_ONLY, "cuda", "cpu"),
        (CPU_ONLY, "cuda:0", "cpu"),
        (CPU_ONLY, "mps", "cpu"),
        (MPS, "cuda", "mps, cpu"),
        (TWO_CARDS, "cuda:2", "cuda:0, cuda:1, mps, cpu"),
        (OLD_DRIVER, "cuda", "cpu"),
    ],
    indirect=["machine"],
)
def test_absent_device_is_an_error_that_lists_the_devices(
    machine: None, name: str, here: str
) -> None:
    with pytest.raises(UserError) as caught:
        device.resolve(name)
    assert str(caught.value) == (
        f"train.device: {name!r} is not on this machine; devices here: {here}"
    )


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[torch.device]]:
    """Give the devices that are made the current one; leave PyTorch as it was."""
    current: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    threads = torch.get_num_threads()
    flags = [
        (torch.backends.cuda.matmul, "allow_tf32"),
        (torch.backends.cudnn, "allow_tf32"),
        (torch.backends.cudnn, "deterministic"),
    ]
    before = [getattr(module, name) for module, name in flags]
    yield current
    torch.set_num_threads(threads)
    for (module, name), value in zip(flags, before, strict=True):
        setattr(module, name, value)


@pytest.mark.parametrize("threads", [1, 3])
def test_prepare_sets_the_number_of_threads(threads: int, chosen: list[torch.device]) -> None:
    device.prepare("cpu", threads=threads)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("tf32", [True, False])
def test_prepare_allows_tf32_only_where_it_is_asked_for(
    tf32: bool, chosen: list[torch.device]
) -> None:
    torch.backends.cuda.matmul.allow_tf32 = not tf32
    torch.backends.cudnn.allow_tf32 = not tf32
    device.prepare("cpu", threads=1, tf32=tf32)
    assert torch.backends.cuda.matmul.allow_tf32 is tf32
    assert torch.backends.cudnn.allow_tf32 is tf32


def test_prepare_does_not_allow_tf32_by_default(chosen: list[torch.device]) -> None:
    torch.backends.cudnn.allow_tf32 = True  # as cuDNN does
    device.prepare("cpu", threads=1)
    assert not torch.backends.cudnn.allow_tf32


def test_prepare_makes_cudnn_deterministic(chosen: list[torch.device]) -> None:
    torch.backends.cudnn.deterministic = False
    device.prepare("cpu", threads=1)
    assert torch.backends.cudnn.deterministic


@pytest.mark.parametrize(
    ("machine", "name", "expected"),
    [(TWO_CARDS, "auto", "cuda:0"), (TWO_CARDS, "cuda:1", "cuda:1")],
    indirect=["machine"],
)
def test_prepare_makes_a_cuda_device_the_current_one(
    machine: None, name: str, expected: str, chosen: list[torch.device]
) -> None:
    assert device.prepare(name, threads=1) == torch.device(expected)
    assert chosen == [torch.device(expected)]


@pytest.mark.parametrize("machine", [TWO_CARDS], indirect=True)
def test_prepare_leaves_cuda_alone_on_the_cpu(machine: None, chosen: list[torch.device]) -> None:
    assert device.prepare("cpu", threads=1) == torch.device("cpu")
    assert chosen == []


@pytest.mark.parametrize("machine", [CPU_ONLY], indirect=True)
def test_prepare_refuses_an_absent_device(machine: None, chosen: list[torch.device]) -> None:
    with pytest.raises(UserError, match=r"^train\.device: 'cuda' is not on this machine"):
        device.prepare("cuda", threads=1)
