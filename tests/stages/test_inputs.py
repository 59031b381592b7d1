"""What the stages say of inputs that are missing, damaged, or do not fit together."""

from pathlib import Path

import pytest

from cifar2.errors import FileError, MissingFile
from tests.stages.conftest import main

HEADER = "image,actual,predicted,confidence\n"
LOSS = "plots/training/plots/metrics/val/loss.tsv"


MISSING = {
    "filter": ["data/raw"],
    "train": ["data/cifar2/train.pt"],
    "evaluate": ["models/model.pt", "data/cifar2/val.pt", "data/val.pt"],
    "plot": [
        *("data/cifar2/val.pt", "data/val.pt", LOSS, "metrics/accuracy.json"),
        *("metrics/neither.csv", "plots/predictions.csv", "plots/surest.csv"),
    ],
}


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("stage", "file", "content", "reason"),
    [
        *((name, file, None, "no such file") for name in MISSING for file in MISSING[name]),
        ("filter", "data/raw/synthetic.npz", "", "not the stand-in (No data left in file)"),
        ("evaluate", "models/model.pt", "PK", "damaged, or a file of "),
        ("evaluate", "models/model.json", "[]", "not a trained network ("),
        ("plot", LOSS, "step\tloss\n1\tx\n", "damaged ("),
        ("plot", "metrics/accuracy.json", "{}", "damaged (dataset Field required"),
        (
            "plot",
            "metrics/neither.csv",
            "class,images\nall,8\n",
            "damaged (not enough values to unpack",
        ),
        ("plot", "plots/predictions.csv", "image\n0\n", "damaged ('actual')"),
        # Whole files that are not of the same run.
        ("evaluate", "models/model.json", ('"net"', '"vgg"'), "not a trained network (Error"),
        ("evaluate", "models/model.json", ('"bird"', '"cat"'), "trained on ['airplane', 'cat'],"),
        ("plot", "plots/predictions.csv", ("99,", "98,"), "damaged (its images are not numbered"),
        ("plot", "plots/predictions.csv", HEADER, "it has 0 images, "),
        ("plot", "plots/surest.csv", HEADER + "100,cat,bird,0.99\n", "it has other images than"),
    ],
)
def test_input_that_does_not_fit_is_named_in_one_line_before_anything_is_written(
    stage: str, file: str, content: str | tuple[str, str] | None, reason: str, folder: Path
) -> None:
    path = folder / file
    if content is None:
        path.rename(folder / "elsewhere")
    elif isinstance(content, tuple):
        path.write_text(path.read_text().replace(*content))
    else:
        path.write_text(content)
    before = times(folder)
    with pytest.raises(FileError) as caught:
        main(stage, folder)
    assert times(folder) == before
    said = str(caught.value)
    assert isinstance(caught.value, MissingFile) == (content is None)
    # The weights are named for their description, too.
    assert said.startswith(f"{path.with_suffix('') if content else path}")
    assert reason in said and "\n" not in said
