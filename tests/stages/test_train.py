"""What `train` writes, what its result depends on, and when it continues from a snapshot."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import _stage
import evaluate
import pytest
import train as train_stage

from cifar2.data import dataset
from cifar2.errors import UserError
from cifar2.models import config_keys, list_models
from tests.conftest import contents, write
from tests.stages.conftest import tiny_data
from tests.unit.settings import OTHERS


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tiny_data(tmp_path / "data")


def trained(data: Path, **settings: object) -> dict[str, bytes]:
    """Train in this process; return the contents of the outputs."""
    usual = {"train__epochs": 1, "train__threads": 1}
    path = write(data.with_name("params.yaml"), **(usual | settings))
    folder = data.with_name("out")
    shutil.rmtree(folder, ignore_errors=True)
    snapshots = data.with_name("snapshots")
    weights = data.with_name("weights")
    train_stage.main(path, data, folder / "model.pt", folder / "history", snapshots, weights)
    return contents(folder)


def afresh(data: Path, **settings: object) -> dict[str, bytes]:
    """Train without a snapshot."""
    shutil.rmtree(data.with_name("snapshots"), ignore_errors=True)
    return trained(data, **settings)


@pytest.mark.parametrize("name", list_models())
def test_bytes_depend_on_the_seed_and_on_the_settings_that_the_network_takes(
    name: str, data: Path
) -> None:
    usual = afresh(data, model__name=name)
    taken = {key for key in OTHERS if key.removeprefix("model__") in config_keys(name)}
    unused = {key for key in OTHERS if key.startswith("model__")} - taken - {"model__name"}
    assert afresh(data, model__name=name, **{key: OTHERS[key] for key in unused}) == usual
    for key in taken:
        assert afresh(data, model__name=name, **{key: OTHERS[key]}) != usual, key
    other = afresh(data, model__name=name, train__seed=124)
    assert {"model.pt", "history/plots/metrics/train/loss.tsv"} <= {
        key for key in usual if other[key] != usual[key]
    }


def test_training_and_evaluation_on_the_stand_in_say_so(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = dataset.load(data / "train.pt")
    dataset.save(images._replace(source="synthetic"), data / "train.pt")
    trained(data)
    evaluate.main(data.with_name("params.yaml"), data, data.with_name("out") / "model.pt")
    assert re.match(
        "THIS NETWORK .* STAND-IN(?s:.*)These results .* stand", capsys.readouterr().err
    )


def test_loss_that_is_not_a_number_is_an_error(data: Path) -> None:
    with pytest.raises(UserError) as caught:
        trained(data, model__name="netdepth", train__lr=1e30)
    assert re.fullmatch(
        r"train\.lr: at 1e\+30 the loss became \S+ \(val: nan\) in epoch 1;"
        r" try a smaller one, -S train\.lr=1e\+29",
        str(caught.value),
    )
    assert not list(data.parent.rglob("model.*"))


def test_training_continues_unless_a_setting_or_the_images_are_others(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What else is in a snapshot's key, and damaged ones: tests/unit/test_snapshot.py."""
    first = trained(data, train__epochs=2)
    (path,) = data.with_name("snapshots").glob("*.pt")
    capsys.readouterr()
    # The network has no blocks, and the training has nothing to do with the evaluation.
    assert trained(data, train__epochs=2, model__n_blocks=3, evaluation__mirror=True) == first
    assert capsys.readouterr().err == (
        f"continuing after epoch 2 of 2; to train from the beginning, remove {path}\n"
    )
    trained(data, train__epochs=2, train__lr=0.02)
    images = dataset.load(data / "train.pt")
    dataset.save(images._replace(labels=1 - images.labels), data / "train.pt")
    trained(data, train__epochs=2)
    assert "continuing" not in capsys.readouterr().err
    assert len(list(path.parent.glob("*.pt"))) == 3


# It draws random numbers in training, has running statistics, and its val loss goes up and down.
UNSTEADY: dict[str, Any] = dict(
    model__name="net1", model__n_chans1=4, train__lr=0.5, train__batch_size=8, train__epochs=12,
    data__holdout=0.2,
)  # fmt: skip
PATIENT = UNSTEADY | {"train__keep": "best", "train__patience": 2}


@pytest.mark.parametrize("change", [{}, {"train__start": "mine"}, PATIENT], ids=str)
def test_stopped_training_and_one_with_more_epochs_have_the_bytes_of_a_whole_one(
    change: dict[str, Any], data: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    def give(seed: int) -> None:
        trained(data, **UNSTEADY | {"train__epochs": 1, "train__seed": seed})
        shutil.copytree(data.with_name("out"), data.parent / "weights/mine", dirs_exist_ok=True)

    def stop(epoch: tuple[float, ...], lr: float) -> None:
        if epoch[0] == 3:
            raise _stage.Stopped(2)

    give(seed=5)
    run = UNSTEADY | change
    plain, whole = afresh(data, **UNSTEADY), afresh(data, **run)
    assert (whole == plain) == (run == UNSTEADY)
    short = afresh(data, **run | {"train__epochs": 2})
    assert trained(data, **run) == whole
    with monkeypatch.context() as patch, pytest.raises(_stage.Stopped):
        patch.setattr(train_stage, "_check", stop)
        afresh(data, **run)
    assert trained(data, **run) == whole
    assert trained(data, **run | {"train__epochs": 2}) == short  # not from the longer one
    give(seed=6)
    assert (trained(data, **run) == whole) == ("train__start" not in change)
    said = capfd.readouterr().err
    continued = re.findall(r"continuing after epoch (2 of \d+); .*-(\d+)\.pt", said)
    assert continued == [("2 of 12", "2"), ("2 of 12", "12")]


@pytest.mark.parametrize("change", [{"train__schedule": "step"}, {"train__hardest": 0.5}], ids=str)
def test_more_epochs_start_anew_where_each_depends_on_how_many_there_are(
    change: dict[str, Any], data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = afresh(data, train__epochs=3, **change)
    afresh(data, train__epochs=2, **change)
    assert trained(data, train__epochs=3, **change) == expected
    said = capsys.readouterr().err
    assert said.count("starting at epoch 1: by train.") == 1 and "continuing" not in said


def test_best_epoch_is_kept_and_named_and_patience_ends_the_training(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, accuracy = trained(data, **PATIENT), data.with_name("accuracy.json")
    evaluate.main(data.with_name("params.yaml"), data, data.parent / "out/model.pt", accuracy)
    rows = found["history/plots/metrics/val/loss.tsv"].decode().splitlines()[1:]
    losses = [float(row.split()[1]) for row in rows]
    best = losses.index(min(losses)) + 1
    assert 1 < best == len(losses) - 2 < 10
    said = f"train.patience: val loss was lowest in epoch {best}; ended after epoch {best + 2}\n"
    assert said in capsys.readouterr().err
    last = trained(data, **UNSTEADY | {"train__epochs": best})
    assert last["model.pt"] == found["model.pt"]
    written = found["model.json"], accuracy.read_bytes(), last["model.json"]
    assert [json.loads(each).get("epoch") for each in written] == [best, best, None]
