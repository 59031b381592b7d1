"""The results of an evaluation on disk; tests/stages/test_evaluate.py has their bytes."""

import json
from pathlib import Path

import pytest

from cifar2.errors import FileError, MissingFile
from cifar2.report import results
from cifar2.report.results import Accuracy, ClassScores, OtherClass, Prediction, Scores

ACCURACY = Accuracy(
    dataset="cifar10",
    model="net",
    train=Scores(accuracy=0.9551, loss=0.1234564999),
    val=ClassScores(accuracy=2 / 3, loss=1e-7, per_class={"bird": 0.5, "airplane": None}),
)
ACCURACY_FILE = ACCURACY.model_dump_json(exclude_none=True)


def test_accuracy_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "metrics" / "accuracy.json"
    for accuracy in (ACCURACY, ACCURACY.model_copy(update={"test": ACCURACY.val})):
        results.write_accuracy(path, accuracy)
        assert results.read_accuracy(path) == accuracy
        assert list(json.loads(path.read_bytes())) == list(accuracy.model_dump(exclude_none=True))
    assert results.read_accuracy(path).classes == ["bird", "airplane"]  # in label order


def test_tables_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "plots" / "a.csv"
    some = [Prediction(0, "airplane", "airplane", 0.9651), Prediction(1, "bird", "cat", 1.0)]
    results.write_predictions(path, some)
    assert results.read_predictions(path) == some
    # Those of a whole val set are in its order; some may be of any images.
    results.write_predictions(path, some[::-1])
    assert results.read_some_predictions(path) == some[::-1]
    with pytest.raises(FileError, match=r"a\.csv: damaged \(its images are not numbered from 0\)"):
        results.read_predictions(path)
    for others in ([OtherClass("cat", 2, {"images": 0.25, "class": 0.75}, 0.625, 0.5)], []):
        results.write_others(path, others, ["images", "class"])
        assert results.read_others(path) == others


# Damaged files

READERS = {
    "accuracy.json": results.read_accuracy,
    "predictions.csv": results.read_predictions,
    "surest.csv": results.read_some_predictions,
    "neither.csv": results.read_others,
}


def changed(before: str, after: str) -> bytes:
    return ACCURACY_FILE.replace(before, after).encode()


ROW = b"image,actual,predicted,confidence\n"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("accuracy.json", b"", "Invalid JSON: EOF"),
        ("accuracy.json", b"{}", "dataset Field required"),
        ("accuracy.json", changed("0.9551", '"high"'), "train.accuracy Input should be a "),
        ("accuracy.json", changed("0.9551", "NaN"), "train.accuracy Input should be a finite"),
        ("predictions.csv", b"image,actual\n0,bird\n", "'predicted'"),
        ("predictions.csv", ROW + b"x,bird,bird,0.5\n", "invalid literal for int()"),
        ("predictions.csv", ROW + b"0,b\xff,bird,0.5\n", "'utf-8' codec can't decode"),
        ("surest.csv", ROW + b"0,bird,bird\n", "float() argument must be"),
        ("neither.csv", b"images\n3\n", "not enough values"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_damaged_or_missing_file_is_named_with_the_reason(
    name: str, content: bytes, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    with pytest.raises(MissingFile) as missing:
        READERS[name](path)
    assert str(missing.value) == f"{path}: no such file"
    path.write_bytes(content)
    with pytest.raises(FileError) as caught:
        READERS[name](path)
    assert str(caught.value).startswith(f"{path}: damaged ({reason}")
    assert "\n" not in str(caught.value)
