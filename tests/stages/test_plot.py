"""Which pictures `plot` draws, what it writes over them, and the card beside the weights."""

import re
import shutil
from pathlib import Path
from unittest.mock import Mock

import pytest
from PIL import Image

from cifar2.data import dataset
from cifar2.report import plotting, results, series
from cifar2.report.results import Prediction
from tests.stages.conftest import main

PICTURES = ("loss", "accuracy", "mistakes", "surest")


def test_each_picture_is_drawn_of_its_results_under_its_title(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = results.read_accuracy(folder / "metrics/accuracy.json")
    test = scores.val.model_copy(update={"accuracy": 0.75, "loss": 0.5})
    scores = scores.model_copy(update={"test": test})
    results.write_accuracy(folder / "metrics/accuracy.json", scores)
    surest = [Prediction(3, "cat", "bird", 0.99)]
    results.write_predictions(folder / "plots/surest.csv", surest)
    whole = dataset.load(folder / "data/val.pt")
    whole = whole._replace(images=255 - whole.images)
    dataset.save(whole, folder / "data/val.pt")
    drawn = Mock()
    drawn.curves.side_effect = [b"loss", b"accuracy"]
    drawn.mistakes.return_value, drawn.surest.return_value = b"mistakes", b"surest"
    for name in ("curves", "mistakes", "surest"):
        monkeypatch.setattr(plotting, name, getattr(drawn, name))
    main("plot", folder)
    assert [(folder / f"plots/{name}.png").read_text() for name in PICTURES] == list(PICTURES)
    subject = "net on THE STAND-IN, NOT CIFAR-10 (airplane, bird)"
    epochs = series.read(folder / "plots/training")
    labels = {"loss": "cross-entropy loss (nats)", "accuracy": "accuracy"}
    for call, (name, label) in zip(drawn.curves.mock_calls, labels.items(), strict=True):
        train, val, last = (getattr(each, name) for each in (scores.train, scores.val, test))
        title = f"{subject}\n{name} of the trained network: "
        title += f"train {train:.4f}, val {val:.4f}, test {last:.4f}"
        assert call.args == (epochs[f"train_{name}"], epochs[f"val_{name}"], label, title)
    val = dataset.load(folder / "data/cifar2/val.pt")
    predictions = results.read_predictions(folder / "plots/predictions.csv")
    for picture, answers, data in (
        (drawn.mistakes, predictions, val),
        (drawn.surest, surest, whole),
    ):
        given, images, title = picture.call_args.args
        assert (given, title) == (answers, subject) and (images == data.images.numpy()).all()


def test_code_of_the_card_runs_where_the_folder_was_taken_to(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    taken = shutil.copytree(folder / "models", elsewhere / "models")
    Image.new("RGB", (64, 48), "skyblue").save(taken / "photo.jpg")
    (code,) = re.findall(r"```python\n(.*?)```", (taken / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(taken)
    exec(code, {})
    label, probability = capsys.readouterr().out.split()
    assert label in ("airplane", "bird")
    assert 0.5 <= float(probability) <= 1
