"""Which pictures `plot` draws, and what it writes over them."""

from pathlib import Path
from typing import Any

import plot as plot_stage
import pytest

from cifar2.report import plotting, results
from tests.conftest import contents


def plot(folder: Path) -> dict[str, bytes]:
    """Draw the pictures in this process."""
    plot_stage.main(
        folder / "data/cifar2",
        folder / "plots/training",
        folder / "metrics/accuracy.json",
        folder / "plots/predictions.csv",
        folder / "new/loss.png",
        folder / "new/accuracy.png",
        folder / "new/mistakes.png",
    )
    return contents(folder / "new")


def test_pictures_have_the_same_bytes_every_time(folder: Path) -> None:
    pictures = plot(folder)
    assert pictures == {
        f"{name}.png": (folder / f"plots/{name}.png").read_bytes()
        for name in ("loss", "accuracy", "mistakes")
    }
    assert all(picture.startswith(b"\x89PNG") for picture in pictures.values())


def test_curves_have_the_series_and_the_figures_of_the_trained_network(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, tuple[Any, ...]] = {}

    def note(train: list[float], val: list[float], quantity: str, title: str) -> bytes:
        drawn[quantity] = train, val, title
        return quantity.encode()

    monkeypatch.setattr(plotting, "curves", note)
    pictures = plot(folder)
    assert pictures["loss.png"] == b"cross-entropy loss (nats)"
    assert pictures["accuracy.png"] == b"accuracy"
    scores = results.read_accuracy(folder / "metrics/accuracy.json")
    train, val, title = drawn["accuracy"]
    assert len(train) == len(val) == 1
    assert title == (
        "net on synthetic (airplane, bird)\naccuracy of the trained network: "
        f"train {scores.train.accuracy:.4f}, val {scores.val.accuracy:.4f}"
    )
    table = (folder / "plots/training/plots/metrics/val/loss.tsv").read_text().splitlines()
    assert drawn["cross-entropy loss (nats)"][1] == [float(table[1].split("\t")[1])]


def test_title_has_the_figure_of_test_where_there_is_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles: list[str] = []

    def note(train: list[float], val: list[float], quantity: str, title: str) -> bytes:
        titles.append(title)
        return b""

    monkeypatch.setattr(plotting, "curves", note)
    path = folder / "metrics/accuracy.json"
    scores = results.read_accuracy(path)
    test = scores.val.model_copy(update={"accuracy": 0.75})
    results.write_accuracy(path, scores.model_copy(update={"test": test}))
    plot(folder)
    assert titles[-1].endswith(f"val {scores.val.accuracy:.4f}, test 0.7500")
