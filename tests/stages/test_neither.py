"""What `neither` and `surest` make of images of unknown classes."""

from pathlib import Path

import neither as neither_stage
import pytest
import surest as surest_stage
import torch

from cifar2.data import dataset
from cifar2.data.dataset import Dataset
from cifar2.errors import FileError
from cifar2.inference import checkpoint
from cifar2.models import get_model
from cifar2.report import results
from cifar2.report.results import Prediction
from tests.conftest import contents, write

# In another order than the network's classes, and with these in between.
CLASSES = ["bird", "frog", "airplane", "cat"]


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """Give a folder with a network, val images of all classes, and the settings."""
    network = get_model("netbn")
    card = checkpoint.Card("netbn", {}, ["airplane", "bird"], "cifar10")
    checkpoint.save(network, card, tmp_path / "model.pt")
    images = torch.randint(256, (60, 3, 32, 32), dtype=torch.uint8)
    labels = torch.arange(60) % 4
    dataset.save(Dataset(images, labels, CLASSES, "cifar10"), tmp_path / "val.pt")
    write(tmp_path / "params.yaml", train__device="cpu", evaluation__mirror=False)
    return tmp_path


def ask(folder: Path) -> tuple[list[results.Neither], list[Prediction]]:
    paths = [folder / name for name in ("params.yaml", "val.pt", "model.pt", "new.csv", "sure.csv")]
    neither_stage.main(*paths)
    return results.read_neither(paths[3]), results.read_some_predictions(paths[4])


def expected(folder: Path, mirror: bool = False) -> dict[int, list[float]]:
    """Return the probabilities for each image of an unknown class, worked out one by one."""
    network, _ = checkpoint.load(folder / "model.pt")
    val = dataset.load(folder / "val.pt")
    found = {}
    with torch.no_grad():
        for index in range(60):
            if index % 4 in (1, 3):
                image = dataset.normalize(val.images[index : index + 1])
                logits = network(image)
                if mirror:
                    logits = (logits + network(image.flip(3))) / 2
                found[index] = logits.softmax(dim=1)[0].tolist()
    return found


@pytest.mark.parametrize("mirror", [False, True])
def test_rows_are_what_the_answers_for_each_class_come_to(mirror: bool, trained: Path) -> None:
    write(trained / "params.yaml", train__device="cpu", evaluation__mirror=mirror)
    rows, _ = ask(trained)
    assert [(row.name, row.images) for row in rows] == [("frog", 15), ("cat", 15), ("all", 30)]
    every = expected(trained, mirror)
    for row, labels in zip(rows, ({1}, {3}, {1, 3}), strict=True):
        of_class = [each for index, each in every.items() if index % 4 in labels]
        airplanes = sum(airplane > bird for airplane, bird in of_class) / len(of_class)
        assert row.shares == pytest.approx({"airplane": airplanes, "bird": 1 - airplanes}, abs=1e-4)
        confidences = [max(each) for each in of_class]
        assert row.confidence == pytest.approx(sum(confidences) / len(of_class), abs=1e-4)


def test_answer_is_sure_above_95_percent() -> None:
    answers = [Prediction(0, "cat", "bird", each) for each in (0.95, 0.951, 0.5, 0.99)]
    row = neither_stage.summarise("cat", answers, ["airplane", "bird"])
    assert row.shares == {"airplane": 0, "bird": 1}
    assert row.confidence == pytest.approx(0.84775)
    assert row.sure == 0.5


def test_surest_are_the_32_of_highest_confidence(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neither_stage, "SUREST", 7)
    _, surest = ask(trained)
    confidences = {index: max(each) for index, each in expected(trained).items()}
    highest = sorted(confidences, key=lambda index: -confidences[index])[:7]
    assert [each.image for each in surest] == highest
    for each in surest:
        assert each.actual == CLASSES[each.image % 4]
        assert each.confidence == pytest.approx(confidences[each.image], abs=1e-4)


def test_network_that_knows_every_class_leaves_empty_tables(folder: Path) -> None:
    """So it is with the stand-in, too."""
    assert (folder / "metrics/neither.csv").read_text().count("\n") == 1
    assert (folder / "plots/surest.csv").read_text().count("\n") == 1
    assert (folder / "plots/surest.png").read_bytes().startswith(b"\x89PNG")


def test_tables_have_the_same_bytes_every_time(trained: Path) -> None:
    ask(trained)
    first = contents(trained)
    ask(trained)
    assert contents(trained) == first


def test_answers_about_other_images_are_an_error(folder: Path) -> None:
    answers = [Prediction(2000, "cat", "bird", 0.99)]
    results.write_predictions(folder / "plots/surest.csv", answers)
    with pytest.raises(FileError, match=r"surest\.csv: it has other images than .*val\.pt$"):
        surest_stage.main(
            folder / "data/val.pt",
            folder / "plots/surest.csv",
            folder / "metrics/accuracy.json",
            folder / "new.png",
        )
