"""What the stages say of inputs that are missing or damaged."""

import importlib
from pathlib import Path

import pytest

from cifar2.errors import FileError, MissingFile
from tests.conftest import words


def main(stage: str, folder: Path) -> None:
    """Run a stage in this process, with its paths in a folder."""
    _, _, *options = words(stage)
    importlib.import_module(stage).main(
        **{
            option.removeprefix("--").replace("-", "_"): folder / name
            for option, name in zip(options[::2], options[1::2], strict=True)
        }
    )


@pytest.mark.parametrize(
    ("stage", "file"),
    [
        ("filter", "data/raw"),
        ("train", "data/cifar2/train.pt"),
        ("train", "data/cifar2/val.pt"),
        ("evaluate", "models/model.pt"),
        ("evaluate", "models/model.json"),
        ("evaluate", "data/cifar2/val.pt"),
        ("plot", "data/cifar2/val.pt"),
        ("plot", "plots/training/plots/metrics/val/loss.tsv"),
        ("plot", "metrics/accuracy.json"),
        ("plot", "plots/predictions.csv"),
        ("calibration", "data/cifar2/val.pt"),
        ("calibration", "models/model.pt"),
        ("neither", "data/val.pt"),
        ("neither", "models/model.pt"),
        ("surest", "data/val.pt"),
        ("surest", "plots/surest.csv"),
        ("card", "metrics/accuracy.json"),
        ("card", "metrics/neither.csv"),
    ],
)
def test_missing_input_is_named(stage: str, file: str, folder: Path) -> None:
    (folder / file).rename(folder / "elsewhere")
    with pytest.raises(MissingFile) as caught:
        main(stage, folder)
    assert str(caught.value) == f"{folder / file}: no such file"


@pytest.mark.parametrize(
    ("stage", "file", "content", "reason"),
    [
        ("filter", "data/raw/synthetic.npz", b"", "not the stand-in (No data left in file)"),
        ("train", "data/cifar2/train.pt", b"PK", "damaged ("),
        ("evaluate", "models/model.pt", b"PK", "damaged ("),
        ("evaluate", "models/model.json", b"[]", "not a trained network ("),
        ("plot", "metrics/accuracy.json", b"{}", "damaged (dataset Field required"),
        ("plot", "metrics/accuracy.json", b"\xff", "damaged ("),
        ("plot", "plots/predictions.csv", b"image\n0\n", "damaged ('actual')"),
        ("plot", "plots/predictions.csv", b"image,actual\n-9,x\n", "damaged ("),
        ("neither", "data/val.pt", b"PK", "damaged ("),
        ("surest", "plots/surest.csv", b"image\n0\n", "damaged ('actual')"),
        ("card", "metrics/neither.csv", b"class,images\nall,8\n", "damaged ('confidence')"),
        ("card", "metrics/neither.csv", b"class,images\nall\n", "damaged ("),
        ("card", "metrics/neither.csv", b"\xff", "damaged ("),
        ("plot", "plots/training/plots/metrics/val/loss.tsv", b"step\tloss\n1\tx\n", "damaged ("),
    ],
)
def test_damaged_input_is_named_in_one_line(
    stage: str, file: str, content: bytes, reason: str, folder: Path
) -> None:
    (folder / file).write_bytes(content)
    with pytest.raises(FileError) as caught:
        main(stage, folder)
    said = str(caught.value)
    assert said.startswith(f"{(folder / file).with_suffix('')}.")
    assert reason in said and "\n" not in said


def test_another_network_than_the_card_describes_is_an_error(folder: Path) -> None:
    card = folder / "models/model.json"
    card.write_text(card.read_text().replace('"net"', '"netres"'))
    with pytest.raises(FileError, match=r"model\.pt: not a trained network \(Error"):
        main("evaluate", folder)


def test_network_for_other_classes_is_an_error(folder: Path) -> None:
    card = folder / "models/model.json"
    card.write_text(card.read_text().replace('"bird"', '"cat"'))
    with pytest.raises(FileError, match=r"trained on \['airplane', 'cat'\], but .*'bird'\]$"):
        main("evaluate", folder)


def test_predictions_for_other_images_are_an_error(folder: Path) -> None:
    table = folder / "plots/predictions.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(FileError, match=r"predictions\.csv: it has 1999 images, .* has 2000$"):
        main("plot", folder)
