"""The training loop: steps worked out by hand, the chapter's own loop, seeds, resuming."""

import copy
import io
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from bench import chapter
from cifar2.inference import evaluation
from cifar2.models import list_models
from cifar2.params import Augment
from cifar2.training import augment, loop
from cifar2.training.loop import Epoch
from tests.unit.settings import build, plain


def fit(model: nn.Module, images: tuple[Tensor, Tensor], **changes: Any) -> list[Epoch]:
    """Train by plain SGD, with val images that are the train images."""
    run = plain(**{"train__epochs": 1, "train__batch_size": 4} | changes)
    state = loop.start(model, run, len(images[1]))
    return list(loop.fit(state, images, images, run))


def some_images(count: int = 10) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    return torch.randn(count, 3, 32, 32, generator=generator), torch.arange(count) % 2


def linear() -> nn.Module:
    """Return a single layer whose weights are 0."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 2))
    for p in model.parameters():
        nn.init.zeros_(p)
    return model


def inputs_of(model: nn.Module, train_only: bool = False) -> list[Tensor]:
    """Return a list that gets the images of each batch that the network is shown."""
    seen: list[Tensor] = []
    model.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0]) if module.training or not train_only else None
    )
    return seen


# A step


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_step_is_the_one_worked_out_by_hand(smoothing: float) -> None:
    """With weights of 0 both probabilities are 1/2 and the loss is ln 2.

    So the gradient of the loss by a logit is ±1/2, and by a weight ±x/2. Label smoothing takes s/2
    from the label, and with it from the step, but not from the loss that is told.
    """
    image = torch.full((1, 3, 32, 32), 0.01)
    model = linear()
    data = image, torch.tensor([1])
    (epoch,) = fit(model, data, train__lr=0.1, regularization__label_smoothing=smoothing)
    weight, bias = model.parameters()
    step = 0.1 * (0.5 - smoothing / 2)
    torch.testing.assert_close(bias.detach(), torch.tensor([-step, step]))
    torch.testing.assert_close(weight[0].detach(), torch.full((3072,), -step * 0.01))
    torch.testing.assert_close(weight[1].detach(), torch.full((3072,), step * 0.01))
    assert epoch.epoch == 1
    assert epoch.train_loss == pytest.approx(0.6931472)
    assert epoch.train_accuracy == 0  # a tie goes to the first class
    margin = 2 * (step + 3072 * 0.01 * step * 0.01)
    assert epoch.val_loss == pytest.approx(math.log1p(math.exp(-margin)))
    assert epoch.val_accuracy == 1


def test_l2_penalty_is_on_all_parameters() -> None:
    """The gradient of l2 * p^2 is 2 * l2 * p, so a step takes lr * 2 * l2 of each parameter."""
    images = some_images(4)
    models = [build("net") for _ in range(3)]
    for model, l2 in zip(models[1:], (0.0, 0.5), strict=True):
        model.load_state_dict(models[0].state_dict())
        fit(model, images, train__lr=0.1, regularization__l2=l2)
    for start, without, penalised in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(penalised.data, without.data - 0.1 * 2 * 0.5 * start.data)


@pytest.mark.parametrize("name", ["netwidth", "airbench"])
@pytest.mark.parametrize("smoothing", [0, 0.2])
def test_balanced_steps_are_those_of_a_loss_weighted_by_hand(name: str, smoothing: float) -> None:
    """Of ten images two are of the second class; the last epoch has only the hardest half.

    The values of the epochs are not weighted.
    """
    images, labels = some_images()[0].double(), (torch.arange(10) < 2).long()
    images[:, 0, 0, 0] = labels
    model = build(name, n_chans1=2).double()
    expected, batches = copy.deepcopy(model).train(), inputs_of(model, train_only=True)
    run = {"train__class_weights": "balanced", "regularization__label_smoothing": smoothing}
    epochs = fit(model, (images, labels), train__epochs=2, train__hardest=0.5, **run)
    optimizer, losses = torch.optim.SGD(expected.parameters(), lr=0.1), []
    for batch in batches:
        shown, logs = batch[:, 0, 0, 0].long(), expected(batch).log_softmax(1)
        losses.append(-logs[range(len(batch)), shown])
        weights = torch.tensor([10 / (2 * 8), 10 / (2 * 2)])[shown]
        smoothed = (1 - smoothing) * losses[-1] - smoothing * logs.mean(1)
        optimizer.zero_grad()
        (weights * smoothed).mean().backward()
        optimizer.step()
    torch.testing.assert_close(model.state_dict(), expected.state_dict(), rtol=1e-9, atol=1e-12)
    for epoch, each in zip(epochs, (losses[:3], losses[3:]), strict=True):
        assert epoch.train_loss == pytest.approx(torch.cat(each).mean().item())


def test_bfloat16_is_near_float32_and_not_the_same() -> None:
    losses = []
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(0)
        (epoch,) = fit(build("net"), some_images(64), train__precision=precision)
        losses.append(epoch.train_loss)
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


# The chapter's loop


def logits_in(train: Callable[[], None], model: nn.Module) -> Tensor:
    """Train; return the logits that the network gives in training mode, batch after batch."""
    outputs: list[Tensor] = []
    model.register_forward_hook(
        lambda module, _, logits: outputs.append(logits.detach()) if module.training else None
    )
    torch.manual_seed(1)  # dropout
    train()
    return torch.cat(outputs)


SLOW = ("airbench", "netresdeep", "vgg")  # these take seconds
EACH = pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in list_models()]
)


@EACH
def test_two_epochs_in_float64_are_those_of_the_chapter_s_loop(name: str) -> None:
    """In float64 two loops differ only where one has an error; the last batch is smaller."""
    count, batch_size = 36, 8
    images, labels = some_images(count)
    images = images.double()
    theirs, ours = chapter.get_model(name).double(), build(name).double()
    ours.load_state_dict(theirs.state_dict())
    generator = torch.Generator().manual_seed(0)
    orders = [torch.randperm(count, generator=generator) for _ in range(2)]
    accuracies: list[float] = []
    epochs: list[Epoch] = []

    def train_theirs() -> None:
        optimizer = torch.optim.SGD(theirs.parameters(), lr=0.01)
        for order in orders:
            loader = [(images[batch], labels[batch]) for batch in order.split(batch_size)]
            chapter.train_epoch(theirs, optimizer, loader)
            accuracies.append(chapter.validate(theirs, [(images, labels)]))

    def train_ours() -> None:
        data = images.contiguous(memory_format=torch.channels_last), labels
        run = {"train__epochs": 2, "train__batch_size": batch_size, "train__seed": 0}
        epochs.extend(fit(ours, data, train__lr=0.01, **run))

    expected, logits = logits_in(train_theirs, theirs), logits_in(train_ours, ours)
    shown = labels[torch.cat(orders)]
    losses = [F.cross_entropy(each, shown, reduction="none") for each in (logits, expected)]
    torch.testing.assert_close(*losses, rtol=1e-9, atol=0)
    assert [epoch.val_accuracy for epoch in epochs] == accuracies
    # The values of train are of each batch before the step on it.
    for epoch, of_epoch, order in zip(epochs, expected.split(count), orders, strict=True):
        loss = evaluation.loss(of_epoch, labels[order])
        assert epoch.train_loss == pytest.approx(loss, rel=1e-6)
        assert epoch.train_accuracy == evaluation.accuracy(of_epoch, labels[order])


# Parts of a batch


@EACH
def test_threads_take_parts_of_a_batch_where_images_are_treated_one_by_one(name: str) -> None:
    """The parts give the same bytes each time, and the network of whole batches up to rounding.

    Batches have seven images and at last three, so that the parts differ in size. Networks with
    batch normalisation or dropout are trained on whole batches.
    """
    data = some_images(10)[0].double(), torch.arange(10) % 2
    changes = {"train__epochs": 3, "train__hardest": 0.5, "train__class_weights": "balanced"}
    changes |= {"train__batch_size": 7, "regularization__l2": 0.01, "augment__crop": 2}
    networks, sizes = [], []
    for threads in (1, 2, 2):
        torch.manual_seed(0)
        networks.append(build(name).double())
        batches = inputs_of(networks[-1], train_only=True)
        fit(networks[-1], data, train__threads=threads, train__lr=0.01, **changes)
        sizes.append(sorted(len(batch) for batch in batches))
    whole, parts, again = (each.state_dict() for each in networks)
    assert sizes[0] == [3, 5, 5, 7]
    divided = name in ("net", "netdepth", "netres", "netwidth", "vgg")
    assert sizes[1] == ([1, 2, 2, 2, 3, 3, 3, 4] if divided else sizes[0])
    torch.testing.assert_close(parts, whole, rtol=1e-9, atol=1e-12)
    assert all(torch.equal(parts[key], again[key]) for key in parts)


# Optimizers and schedules


@pytest.mark.parametrize(
    ("name", "kind", "own"),
    [
        ("sgd", torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
        ("adam", torch.optim.Adam, {}),
        ("adamw", torch.optim.AdamW, {}),
    ],
)
def test_optimizer_is_torch_s_with_the_settings(name: str, kind: type, own: dict[str, Any]) -> None:
    model, momentum = linear(), {"train__momentum": 0.9, "train__nesterov": True}
    run = plain(train__optimizer=name, regularization__weight_decay=0.5, **momentum)
    optimizer = loop.start(model, run, images=4).optimizer
    assert type(optimizer) is kind
    (group,) = optimizer.param_groups
    assert group["params"] == list(model.parameters())
    assert group.items() >= ({"lr": 0.1, "weight_decay": 0.5} | own).items()


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_step_of_each_optimizer_is_the_one_after_a_plain_backward_pass(name: str) -> None:
    """Fused steps go through weights and gradients in the order of memory, and check nothing."""
    images, labels = some_images()
    images = images.contiguous(memory_format=torch.channels_last)  # as the stage has them
    torch.manual_seed(0)
    ours = build("netstem")
    theirs = copy.deepcopy(ours)
    optimizer = loop.start(theirs, plain(train__optimizer=name), len(labels)).optimizer
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    F.cross_entropy(theirs(images[order]), labels[order]).backward()
    optimizer.step()
    fit(ours, (images, labels), train__optimizer=name, train__batch_size=10, train__lr=0.1)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())


def cosine(steps: int) -> list[float]:
    return [(1 + math.cos(math.pi * step / steps)) / 2 for step in range(steps)]


# Of 20 steps, the top is step 5 (0.3 * 20 - 1) and the end is step 19.
ONECYCLE = [0.04 + 0.96 * step / 5 for step in range(5)]
ONECYCLE += [1 - (1 - 4e-6) * step / 14 for step in range(15)]


@pytest.mark.parametrize(
    ("schedule", "epochs", "images", "hardest", "expected"),
    [
        ("none", 4, 4, 1.0, 8 * [1.0]),
        # After half and after three quarters of the steps.
        ("step", 4, 4, 1.0, 4 * [1.0] + 2 * [0.1] + 2 * [0.01]),
        ("onecycle", 10, 4, 1.0, ONECYCLE),
        ("cosine", 2, 5, 1.0, cosine(6)),  # the smaller last batch is a step
        ("cosine", 12, 4, 0.5, cosine(14)),  # two epochs of two steps, then ten of one
    ],
)
def test_schedule_gives_each_step_its_learning_rate(
    schedule: str, epochs: int, images: int, hardest: float, expected: list[float]
) -> None:
    data = some_images(images)
    steps = {"train__epochs": epochs, "train__batch_size": 2, "train__hardest": hardest}
    run = plain(train__schedule=schedule, train__lr=1.0, **steps)
    state = loop.start(linear(), run, images)
    rates: list[float] = []
    state.optimizer.register_step_pre_hook(
        lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"])
    )
    list(loop.fit(state, data, data, run))
    assert rates == pytest.approx(expected)


# The hardest images


def test_only_the_hardest_images_are_trained_on_after_an_eighth_of_the_epochs() -> None:
    """All images are the same but for a number in a pixel, and most are of the first class.

    So the losses of the second class are higher.
    """
    images = torch.ones(6, 3, 32, 32)
    images[:, 0, 0, 0] = torch.arange(6)
    model = linear()
    batches = inputs_of(model, train_only=True)
    run = {"train__epochs": 16, "train__batch_size": 6, "train__lr": 1e-6}
    fit(model, (images, torch.tensor([0, 0, 1, 0, 0, 1])), **run, train__hardest=0.33)
    seen = [sorted(batch[:, 0, 0, 0].int().tolist()) for batch in batches]
    assert seen[:3] == [[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5], [2, 5]]
    assert {len(each) for each in seen[2:]} == {2}


def test_number_of_the_hardest_images_is_rounded_and_at_least_one() -> None:
    """0.28 times 100 is a little more than 28 in floating point: no last batch of one image."""
    for hardest, count in ((0.28, 28), (0.001, 1)):
        model = linear()
        batches = inputs_of(model, train_only=True)
        fit(model, some_images(100), train__epochs=3, train__batch_size=28, train__hardest=hardest)
        assert [len(batch) for batch in batches[4:]] == 2 * [count]  # after a whole epoch


# Order and views


@pytest.mark.parametrize(("flip", "crop"), [(False, 0), (True, 0), (False, 1), (True, 4)])
def test_order_and_views_of_train_images_are_new_each_epoch_and_val_images_are_plain(
    flip: bool, crop: int
) -> None:
    images, labels = some_images(6)
    model = build("net")
    seen = inputs_of(model)
    changes = {"augment__flip": flip, "augment__crop": crop, "train__seed": 0}
    fit(model, (images, labels), train__epochs=2, train__batch_size=4, **changes)
    generator = torch.Generator().manual_seed(0)
    epochs = []
    for batches in (seen[:3], seen[3:]):
        expected = images[order := torch.randperm(6, generator=generator)]
        if flip or crop:  # each image has a view of its own
            rows, columns = augment.draw(6, 32, Augment(flip=flip, crop=crop), generator)
            expected = augment.take(images, order, rows[order], columns[order])
            assert not torch.equal(expected, images[order])
        epochs.append(torch.cat(batches[:2]))
        assert torch.equal(epochs[-1], expected)
        assert torch.equal(batches[2], images)
    assert not torch.equal(epochs[0], epochs[1])


# Resuming


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [("sgd", "none"), ("sgd", "step"), ("adam", "cosine"), ("adamw", "onecycle")],
)
def test_training_continues_bit_for_bit_from_every_epoch(optimizer: str, schedule: str) -> None:
    """The network has dropout and batch normalisation, the images are augmented, and after the
    first epoch only the hardest are trained on. From the last epoch nothing more is yielded."""
    data = some_images(8)
    kind = {"train__optimizer": optimizer, "train__schedule": schedule, "train__momentum": 0.9}
    steps = {"train__batch_size": 4, "train__epochs": 4, "train__hardest": 0.5, "train__lr": 0.01}
    run = plain(**kind, **steps, augment__flip=True, augment__crop=2)

    def begin() -> loop.State:
        torch.manual_seed(0)
        return loop.start(build("net1"), run, len(data[1]))

    def saved_bytes(state: loop.State) -> bytes:
        file = io.BytesIO()
        torch.save(state.state_dict(), file)
        return file.getvalue()

    state = begin()
    saved, undisturbed = [saved_bytes(state)], []
    for epoch in loop.fit(state, data, data, run):
        undisturbed.append(epoch)
        saved.append(saved_bytes(state))
    assert [epoch.epoch for epoch in undisturbed] == [1, 2, 3, 4]
    for done, content in enumerate(saved):
        again = begin()
        again.load_state_dict(torch.load(io.BytesIO(content), weights_only=True))
        assert again.epoch == done
        assert list(loop.fit(again, data, data, run)) == undisturbed[done:]
        assert all(map(torch.equal, again.model.parameters(), state.model.parameters()))


# Speed


class Transfers(TorchDispatchMode):
    """Note the operations that wait for a device, or move data to or from it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, options = func.overloadpacket.__name__, kwargs or {}
        waits = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal")
        if name in waits or (name == "_to_copy" and "device" in options):
            self.steps.append(name)
        return func(*args, **options)


@pytest.mark.parametrize("batch_size", [20, 2])
def test_epoch_waits_for_the_device_only_for_its_four_values(batch_size: int) -> None:
    run = {"train__schedule": "cosine", "train__batch_size": batch_size, "augment__crop": 2}
    model, images = build("netbn"), some_images(40)
    with Transfers() as transfers:
        fit(model, images, **run)
    assert transfers.steps == 4 * ["_local_scalar_dense"]
