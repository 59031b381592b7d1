"""The results of an evaluation on disk; the results in Git rely on their bytes."""

import json
from pathlib import Path

import pytest

from cifar2.errors import FileError, MissingFile
from cifar2.report import results
from cifar2.report.calibration import Bin, Calibration
from cifar2.report.results import Accuracy, ClassScores, OtherClass, Prediction, Scores

ACCURACY = Accuracy(
    dataset="cifar10",
    model="net",
    train=Scores(accuracy=0.9551, loss=0.1234564999),
    val=ClassScores(accuracy=2 / 3, loss=1e-7, per_class={"bird": 0.5, "airplane": 1.0}),
)
WRITTEN = {
    "dataset": "cifar10",
    "model": "net",
    "train": {"accuracy": 0.9551, "loss": 0.123456},
    "val": {"accuracy": 0.666667, "loss": 0.0, "per_class": {"bird": 0.5, "airplane": 1.0}},
}
ACCURACY_FILE = json.dumps(WRITTEN, indent=2) + "\n"


def test_accuracy_has_exact_bytes_and_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "metrics" / "accuracy.json"
    results.write_accuracy(path, ACCURACY)
    assert path.read_bytes() == ACCURACY_FILE.encode()
    read = results.read_accuracy(path)
    assert read == ACCURACY
    assert read.classes == ["bird", "airplane"]  # in the order of their labels
    tested = ACCURACY.model_copy(update={"test": ACCURACY.val})
    results.write_accuracy(path, tested)
    assert list(json.loads(path.read_bytes())) == ["dataset", "model", "train", "val", "test"]
    assert results.read_accuracy(path) == tested


def test_predictions_have_exact_bytes_and_four_decimals(tmp_path: Path) -> None:
    path = tmp_path / "plots" / "predictions.csv"
    some = [Prediction(0, "airplane", "airplane", 0.96504), Prediction(1, "bird", "cat", 0.99999)]
    results.write_predictions(path, some)
    text = "image,actual,predicted,confidence\n0,airplane,airplane,0.9650\n1,bird,cat,1.0000\n"
    assert path.read_bytes() == text.encode()
    read = [some[0]._replace(confidence=0.965), some[1]._replace(confidence=1.0)]
    assert results.read_predictions(path) == read
    # Those of a whole val set are in its order; some may be of any images.
    results.write_predictions(path, read[::-1])
    assert results.read_some_predictions(path) == read[::-1]
    with pytest.raises(FileError, match=r"predictions\.csv: damaged \(its images are not numbered"):
        results.read_predictions(path)


def test_table_of_other_classes_has_exact_bytes_and_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "neither.csv"
    others = [
        OtherClass("cat", 2, {"airplane": 0.5, "bird": 0.5}, 0.75, 0.0),
        OtherClass("all", 2, {"airplane": 0.25, "bird": 0.75}, 0.625, 0.5),
    ]
    header = "class,images,airplane,bird,confidence,sure\n"
    rows = "cat,2,0.5000,0.5000,0.7500,0.0000\nall,2,0.2500,0.7500,0.6250,0.5000\n"
    for some, text in ((others, header + rows), ([], header)):
        results.write_others(path, some, ["airplane", "bird"])
        assert path.read_bytes() == text.encode()
        assert results.read_others(path) == some


def test_calibration_has_exact_bytes(tmp_path: Path) -> None:
    found = Calibration([Bin(0.98999, 0.75, 4), Bin(1.0, 1.0, 1)], 0.23996, 4.18264, 1e-9)
    results.write_calibration(tmp_path / "c.json", tmp_path / "r.csv", found)
    assert (tmp_path / "c.json").read_text() == (
        '{\n  "ece": 0.24,\n  "temperature": 4.183,\n  "ece_at_temperature": 0.0\n}\n'
    )
    assert (tmp_path / "r.csv").read_text() == (
        "confidence,accuracy,images\n0.9900,0.7500,4\n1.0000,1.0000,1\n"
    )


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
        ("accuracy.json", changed("per_class", "each"), "val.per_class Field required"),
        ("predictions.csv", b"image,actual\n0,bird\n", "'predicted'"),
        ("predictions.csv", ROW + b"x,bird,bird,0.5\n", "invalid literal for int()"),
        ("predictions.csv", ROW + b"1,bird,bird,0.5\n", "its images are not numbered"),
        ("predictions.csv", ROW + b"0,b\xff,bird,0.5\n", "'utf-8' codec can't decode"),
        ("predictions.csv", ROW + b'0,"' + 200_000 * b"b" + b'"\n', "field larger than"),
        ("surest.csv", ROW + b"0,bird,bird\n", "float() argument must be"),
        ("neither.csv", b"images\n3\n", "'class'"),
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
