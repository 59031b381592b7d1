"""Which counts `confusion` draws."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cifar2.errors import FileError
from cifar2.report import results
from zoo import confusion as confusion_stage
from zoo import plotting


def confuse(folder: Path, *answers: tuple[str, str]) -> None:
    """Draw the picture of some answers, each an actual and a predicted class."""
    result = results.Accuracy(
        dataset="cifar10",
        model="net",
        train=results.Scores(accuracy=0.5, loss=1),
        val=results.ClassScores(accuracy=0.5, loss=1, per_class={"bird": 0.5, "airplane": 0.5}),
    )
    results.write_accuracy(folder / "accuracy.json", result)
    rows = [results.Prediction(index, *answer, 0.9) for index, answer in enumerate(answers)]
    results.write_predictions(folder / "predictions.csv", rows)
    confusion_stage.main(
        folder / "accuracy.json", folder / "predictions.csv", folder / "confusion.png"
    )


def test_rows_are_actual_classes_and_columns_predicted_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[object] = []

    def note(classes: list[str], counts: NDArray[np.int64], title: str) -> bytes:
        drawn.extend([classes, counts.tolist(), title])
        return b"a picture"

    monkeypatch.setattr(plotting, "confusion", note)
    right, wrong = ("bird", "bird"), ("bird", "airplane")
    confuse(tmp_path, right, wrong, wrong, ("airplane", "airplane"))
    assert drawn == [
        ["bird", "airplane"],
        [[1, 2], [0, 1]],
        "net on cifar10: val accuracy 0.5000",
    ]
    assert (tmp_path / "confusion.png").read_bytes() == b"a picture"


@pytest.mark.parametrize("answer", [("bird", "cat"), ("cat", "bird")])
def test_unknown_class_is_an_error(answer: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"predictions\.csv: unknown class 'cat'$"):
        confuse(tmp_path, ("bird", "bird"), answer)
    assert not (tmp_path / "confusion.png").exists()
