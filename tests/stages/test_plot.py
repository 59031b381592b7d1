"""Which pictures `plot` draws, what it writes over them, and the card beside the weights."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from cifar2.data import dataset
from cifar2.report import plotting, results, series
from cifar2.report.results import Prediction
from tests.stages.conftest import main

PICTURES = ("loss", "accuracy", "mistakes", "surest")


def test_pictures_and_card_have_the_same_bytes_every_time(folder: Path) -> None:
    outputs = [folder / f"plots/{name}.png" for name in PICTURES] + [folder / "models/README.md"]
    before = [path.read_bytes() for path in outputs]
    assert all(content.startswith(b"\x89PNG") for content in before[:-1])
    for path in outputs:
        path.unlink()
    main("plot", folder)
    assert [path.read_bytes() for path in outputs] == before


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
    drawn: dict[bytes, tuple[Any, ...]] = {}  # what by the content of the picture

    def draw(*given: Any) -> bytes:
        content = f"picture {len(drawn)}".encode()
        drawn[content] = given
        return content

    for name in ("curves", "mistakes", "surest"):
        monkeypatch.setattr(plotting, name, draw)
    main("plot", folder)
    pictures = {name: drawn[(folder / f"plots/{name}.png").read_bytes()] for name in PICTURES}
    subject, epochs = "net on synthetic (airplane, bird)", series.read(folder / "plots/training")
    for name, label in (("loss", "cross-entropy loss (nats)"), ("accuracy", "accuracy")):
        train, val, last = (getattr(each, name) for each in (scores.train, scores.val, test))
        title = f"{subject}\n{name} of the trained network: "
        title += f"train {train:.4f}, val {val:.4f}, test {last:.4f}"
        curves = epochs[f"train_{name}"], epochs[f"val_{name}"]
        assert pictures[name] == (*curves, label, title)
    val = dataset.load(folder / "data/cifar2/val.pt")
    predictions = results.read_predictions(folder / "plots/predictions.csv")
    for name, answers, data in (("mistakes", predictions, val), ("surest", surest, whole)):
        assert pictures[name][0] == answers and pictures[name][2] == subject
        assert (pictures[name][1] == data.images.numpy()).all()


def test_card_has_the_accuracy_and_the_settings_of_the_weights_beside_it(folder: Path) -> None:
    text = (folder / "models/README.md").read_text()
    scores = results.read_accuracy(folder / "metrics/accuracy.json")
    assert f"| val | {scores.val.accuracy:.4f} |" in text
    written = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    settings = yaml.safe_load((folder / "params.yaml").read_text())
    assert written["train"].items() <= settings["train"].items()


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
