"""What `train` writes, what its result depends on, and when it continues from a snapshot."""

import re
import shutil
from pathlib import Path

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
    train_stage.main(path, data, folder / "model.pt", folder / "history", snapshots)
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
