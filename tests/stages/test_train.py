"""What `train` reports, and what its result depends on."""

import json
import re
import shutil
from pathlib import Path

import pytest
import train as train_stage

from cifar2.errors import UserError
from cifar2.models import config_keys, list_models
from tests.conftest import contents, run, words, write
from tests.stages.conftest import tiny_data


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tiny_data(tmp_path / "data")


def trained(data: Path, **settings: object) -> dict[str, bytes]:
    """Train afresh in this process; return the contents of the outputs."""
    folder = data.with_name(f"run{len(list(data.parent.iterdir()))}")
    usual = {"train__epochs": 1, "train__threads": 1}
    path = write(data.with_name("params.yaml"), **(usual | settings))
    train_stage.main(path, data, folder / "model.pt", folder / "history", folder / "snapshots")
    return {name: content for name, content in contents(folder).items() if "snapshots" not in name}


def test_outputs_are_the_network_its_card_and_the_series(data: Path) -> None:
    outputs = trained(data)
    assert sorted(outputs) == [
        "history/metrics.json",
        "history/plots/metrics/train/accuracy.tsv",
        "history/plots/metrics/train/loss.tsv",
        "history/plots/metrics/val/accuracy.tsv",
        "history/plots/metrics/val/loss.tsv",
        "model.json",
        "model.pt",
    ]
    card = json.loads(outputs["model.json"])
    assert card["model"] == "net"
    assert card["config"] == {}
    assert card["classes"] == ["airplane", "bird"]
    assert card["dataset"] == "cifar10"


@pytest.mark.parametrize("limit", [{"OMP_THREAD_LIMIT": "1"}, {"OMP_DYNAMIC": "true"}])
def test_limit_on_the_threads_of_openmp_changes_no_byte(
    limit: dict[str, str], tmp_path: Path
) -> None:
    """PyTorch hangs, or computes wrong gradients, with fewer threads than it was told."""
    write(tmp_path / "params.yaml", train__epochs=2, train__threads=2)
    tiny_data(tmp_path / "data/cifar2")
    models = []
    for env in ({}, limit):
        run(*words("train"), cwd=tmp_path, env=env, timeout=120)
        models.append((tmp_path / "models/model.pt").read_bytes())
        shutil.rmtree(tmp_path / ".dvc")
    assert models[0] == models[1]


@pytest.mark.parametrize("name", list_models())
def test_only_settings_that_a_network_takes_change_the_outputs(name: str, data: Path) -> None:
    usual = trained(data, model__name=name)
    others = {"n_chans1": 8, "n_blocks": 2, "dropout": 0.1, "shared_blocks": True, "kernel_size": 5}
    for key, value in others.items():
        changed = trained(data, model__name=name, **{f"model__{key}": value}) != usual
        assert changed == (key in config_keys(name)), key


@pytest.mark.parametrize("name", list_models())
def test_same_seed_gives_the_same_bytes(name: str, data: Path) -> None:
    assert trained(data, model__name=name) == trained(data, model__name=name)


@pytest.mark.parametrize("name", list_models())
def test_another_seed_gives_other_bytes(name: str, data: Path) -> None:
    usual, other = trained(data, model__name=name), trained(data, model__name=name, train__seed=124)
    assert {key for key in usual if usual[key] != other[key]} >= {
        "model.pt",
        "history/plots/metrics/train/loss.tsv",
    }


@pytest.mark.parametrize(
    "settings",
    [
        {"train__lr": 0.02},
        {"train__batch_size": 8},
        {"train__optimizer": "adamw"},
        {"train__schedule": "cosine"},
        {"train__momentum": 0.9},
        {"train__precision": "bfloat16"},
        {"regularization__l2": 0.01},
        {"regularization__weight_decay": 0.01},
        {"regularization__label_smoothing": 0.1},
        {"augment__flip": True},
        {"augment__crop": 4},
    ],
    ids=str,
)
def test_every_setting_of_training_reaches_the_training(
    settings: dict[str, object], data: Path
) -> None:
    usual, other = trained(data, train__epochs=2), trained(data, train__epochs=2, **settings)
    assert usual["model.pt"] != other["model.pt"]


def test_loss_that_is_not_a_number_is_an_error(data: Path) -> None:
    with pytest.raises(UserError) as caught:
        trained(data, model__name="netdepth", train__lr=1e30)
    assert re.fullmatch(
        r"train\.lr: at 1e\+30 the loss became \S+ \(val: nan\) in epoch 1;"
        r" try a smaller one, -S train\.lr=1e\+29",
        str(caught.value),
    )
    assert not list(data.parent.rglob("model.*"))


def test_device_that_is_not_on_this_machine_is_an_error(data: Path) -> None:
    with pytest.raises(UserError, match=r"^train\.device: 'cuda:99' is not on this machine; "):
        trained(data, train__device="cuda:99")


@pytest.fixture(scope="module")
def lines_of_23_epochs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Give the folder of a run of 23 epochs, and the lines that it printed without a terminal."""
    folder = tmp_path_factory.mktemp("lines")
    tiny_data(folder / "data/cifar2")
    write(folder / "params.yaml", train__epochs=23, train__threads=1)
    return folder, run(*words("train"), cwd=folder).splitlines()


def test_without_a_terminal_ten_lines_or_so_are_printed(
    lines_of_23_epochs: tuple[Path, list[str]],
) -> None:
    _, lines = lines_of_23_epochs
    epochs = [line.split()[3] for line in lines]
    assert epochs == [f"{epoch}/23" for epoch in (1, 3, 6, 9, 12, 15, 18, 21, 23)]


def test_line_has_time_epoch_losses_accuracies_and_time_left(
    lines_of_23_epochs: tuple[Path, list[str]],
) -> None:
    pattern = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  epoch \d+/23  train \d\.\d{4} \d\.\d{4}  "
    pattern += r"val \d\.\d{4} \d\.\d{4}  \d+ s left"
    for line in lines_of_23_epochs[1]:
        assert len(line) <= 100
        assert re.fullmatch(pattern, line)


def test_series_have_a_row_for_every_epoch(
    lines_of_23_epochs: tuple[Path, list[str]],
) -> None:
    table = lines_of_23_epochs[0] / "plots/training/plots/metrics/val/loss.tsv"
    steps = [row.split("\t")[0] for row in table.read_text().splitlines()]
    assert steps == ["step", *map(str, range(1, 24))]
