"""When a training continues from a snapshot, and when it starts from the beginning."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import train as train_stage

from cifar2 import snapshot
from cifar2.data import dataset
from tests.conftest import contents, write
from tests.stages.conftest import tiny_data


def train(folder: Path, out: str = "out", /, **settings: object) -> None:
    """Train in this process for three epochs."""
    usual = {"train__epochs": 3, "train__threads": 1}
    train_stage.main(
        write(folder / "params.yaml", **(usual | settings)),
        folder / "data",
        folder / out / "model.pt",
        folder / out / "history",
        folder / "snapshots",
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder in which a training has left its outputs and its snapshot."""
    path = tmp_path_factory.mktemp("trained")
    tiny_data(path / "data")
    train(path, "first")
    return path


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """Give a copy of it."""
    return shutil.copytree(trained, tmp_path, dirs_exist_ok=True)


def test_finished_training_is_not_repeated(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(folder)
    (path,) = (folder / "snapshots").glob("*.pt")
    assert capsys.readouterr().err == (
        f"continuing after epoch 3 of 3; to train from the beginning, remove {path}\n"
    )
    assert contents(folder / "out") == contents(folder / "first")


def belongs_to_another_run(snapshot_path: Path) -> bytes:
    """Return the bytes of a snapshot, but with another key."""
    content = snapshot.Snapshot(snapshot_path, snapshot_path.stem).content
    assert content is not None
    other = snapshot.Snapshot(snapshot_path.with_name("other"), "another")
    other.put(content)
    other.write()
    return other.path.read_bytes()


def with_a_bit_flipped(path: Path) -> bytes:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    return bytes(content)


@pytest.mark.parametrize(
    "damaged",
    [
        lambda path: path.read_bytes()[:1000],
        lambda path: b"",
        lambda path: b"garbage" * 1000,
        belongs_to_another_run,
        with_a_bit_flipped,
    ],
    ids=["truncated", "empty", "garbage", "of another run", "a bit flipped"],
)
def test_damaged_snapshot_is_a_warning_and_a_fresh_start(
    damaged: Callable[[Path], bytes],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    (path,) = (folder / "snapshots").glob("*.pt")
    path.write_bytes(damaged(path))
    train(folder)
    assert "continuing" not in capsys.readouterr().err
    assert f"{path}: not a snapshot of this run; starting from the beginning" in caplog.text
    assert contents(folder / "out") == contents(folder / "first")


@pytest.mark.parametrize(
    ("key", "value"),
    [("lr", 0.02), ("seed", 1), ("batch_size", 8), ("epochs", 4), ("threads", 2)],
)
def test_another_setting_starts_from_the_beginning(
    key: str, value: object, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(folder, **{f"train__{key}": value})
    assert "continuing" not in capsys.readouterr().err
    assert len(list((folder / "snapshots").glob("*.pt"))) == 2


def test_setting_that_the_training_does_not_use_leaves_the_snapshot_valid(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(folder, model__n_blocks=3, evaluation__mirror=True, data__source="synthetic")
    assert "continuing" in capsys.readouterr().err
    assert len(list((folder / "snapshots").glob("*.pt"))) == 1


def test_other_images_start_from_the_beginning(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = dataset.load(folder / "data/train.pt")
    dataset.save(images._replace(labels=1 - images.labels), folder / "data/train.pt")
    train(folder)
    assert "continuing" not in capsys.readouterr().err
