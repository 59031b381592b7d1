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


@pytest.fixture
def current(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[torch.device]]:
    """Give the devices that are made the current one; leave PyTorch as it was."""
    made: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", made.append)
    threads = torch.get_num_threads()
    flags = [
        (torch.backends.cuda.matmul, "allow_tf32"),
        (torch.backends.cudnn, "allow_tf32"),
        (torch.backends.cudnn, "deterministic"),
    ]
    before = [getattr(module, name) for module, name in flags]
    yield made
    torch.set_num_threads(threads)
    for (module, name), value in zip(flags, before, strict=True):
        setattr(module, name, value)


@pytest.mark.parametrize(
    ("machine", "names", "expected"),
    [
        (CPU_ONLY, ["auto", "cpu"], "cpu"),
        (MPS, ["cpu"], "cpu"),
        (MPS, ["auto", "mps"], "mps"),
        (TWO_CARDS, ["cpu"], "cpu"),
        (TWO_CARDS, ["mps"], "mps"),
        (TWO_CARDS, ["auto", "cuda"], "cuda:0"),
        (TWO_CARDS, ["cuda:1"], "cuda:1"),
        (OLD_DRIVER, ["auto"], "cpu"),
    ],
    indirect=["machine"],
)
def test_name_means_a_device_and_a_cuda_device_becomes_the_current_one(
    machine: None, names: list[str], expected: str, current: list[torch.device]
) -> None:
    place = torch.device(expected)
    for name in names:
        assert device.resolve(name) == device.prepare(name, threads=1) == place
    assert current == (len(names) * [place] if place.type == "cuda" else [])


@pytest.mark.parametrize(
    ("machine", "names", "here"),
    [
        (CPU_ONLY, ["cuda", "cuda:0", "mps"], "cpu"),
        (MPS, ["cuda"], "mps, cpu"),
        (TWO_CARDS, ["cuda:2"], "cuda:0, cuda:1, mps, cpu"),
        (OLD_DRIVER, ["cuda"], "cpu"),
    ],
    indirect=["machine"],
)
def test_absent_device_is_an_error_that_lists_the_devices(
    machine: None, names: list[str], here: str
) -> None:
    for name in names:
        with pytest.raises(UserError) as caught:
            device.prepare(name, threads=1)
        message = f"train.device: {name!r} is not on this machine; devices here: {here}"
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("threads", "options", "tf32"), [(1, {}, False), (3, {"tf32": True}, True)]
)
def test_prepare_sets_threads_and_deterministic_algorithms_and_tf32_only_where_asked(
    threads: int, options: dict[str, bool], tf32: bool, current: list[torch.device]
) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = not tf32
    torch.backends.cudnn.deterministic = False
    device.prepare("cpu", threads=threads, **options)
    assert torch.get_num_threads() == threads
    assert torch.backends.cuda.matmul.allow_tf32 is tf32
    assert torch.backends.cudnn.allow_tf32 is tf32
    assert torch.backends.cudnn.deterministic
