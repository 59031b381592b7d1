"""The results of an evaluation on disk."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cifar2.errors import FileError, MissingFile
from cifar2.report import results
from cifar2.report.results import Accuracy, ClassScores, Neither, Prediction, Scores

ACCURACY = Accuracy(
    dataset="cifar10",
    model="net",
    train=Scores(accuracy=0.9551, loss=0.1234564999),
    val=ClassScores(accuracy=2 / 3, loss=1e-7, per_class={"bird": 0.5, "airplane": 1.0}),
)
PREDICTIONS = [
    Prediction(0, "airplane", "airplane", 0.96504),
    Prediction(1, "bird", "airplane", 0.5),
    Prediction(2, "bird", "bird", 0.99999),
]
# The exact bytes of what is written for them: the results in Git rely on these.
ACCURACY_FILE = """{
  "dataset": "cifar10",
  "model": "net",
  "train": {
    "accuracy": 0.9551,
    "loss": 0.123456
  },
  "val": {
    "accuracy": 0.666667,
    "loss": 0.0,
    "per_class": {
      "bird": 0.5,
      "airplane": 1.0
    }
  }
}
"""
PREDICTIONS_FILE = """image,actual,predicted,confidence
0,airplane,airplane,0.9650
1,bird,airplane,0.5000
2,bird,bird,1.0000
"""


# Images of unknown classes


NEITHER = [
    Neither("cat", 2, {"airplane": 0.5, "bird": 0.5}, 0.75, 0.0),
    Neither("all", 2, {"airplane": 0.5, "bird": 0.5}, 0.75, 0.0),
]


def test_table_of_unknown_classes_has_exact_bytes_and_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "neither.csv"
    results.write_neither(path, NEITHER, ["airplane", "bird"])
    assert path.read_text() == (
        "class,images,airplane,bird,confidence,sure\n"
        "cat,2,0.5000,0.5000,0.7500,0.0000\n"
        "all,2,0.5000,0.5000,0.7500,0.0000\n"
    )
    assert results.read_neither(path) == NEITHER


def test_table_without_unknown_classes_has_its_header(tmp_path: Path) -> None:
    results.write_neither(tmp_path / "neither.csv", [], ["airplane", "bird"])
    assert results.read_neither(tmp_path / "neither.csv") == []


def test_some_predictions_may_be_of_any_images(tmp_path: Path) -> None:
    some = [Prediction(7, "cat", "bird", 0.5), Prediction(3, "dog", "bird", 0.25)]
    results.write_predictions(tmp_path / "surest.csv", some)
    assert results.read_some_predictions(tmp_path / "surest.csv") == some
    with pytest.raises(FileError, match=r"surest\.csv: damaged \(its images are not numbered"):
        results.read_predictions(tmp_path / "surest.csv")


# Accuracies


def test_accuracy_file_has_exact_bytes(tmp_path: Path) -> None:
    results.write_accuracy(tmp_path / "metrics" / "accuracy.json", ACCURACY)
    assert (tmp_path / "metrics" / "accuracy.json").read_bytes() == ACCURACY_FILE.encode()


def test_scores_have_six_decimals() -> None:
    scores = Scores(accuracy=0.12345678, loss=2.3456789)
    assert (scores.accuracy, scores.loss) == (0.123457, 2.345679)


def test_accuracy_is_read_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "accuracy.json").write_text(ACCURACY_FILE)
    read = results.read_accuracy(tmp_path / "accuracy.json")
    assert read == ACCURACY
    results.write_accuracy(tmp_path / "again.json", read)
    assert (tmp_path / "again.json").read_text() == ACCURACY_FILE


def test_classes_are_in_the_order_of_their_labels(tmp_path: Path) -> None:
    (tmp_path / "accuracy.json").write_text(ACCURACY_FILE)
    assert results.read_accuracy(tmp_path / "accuracy.json").classes == ["bird", "airplane"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Invalid JSON: EOF"),
        (b"\xff", "Invalid JSON: "),
        (b"{}", "dataset Field required"),
        (b"[]", "Input should be an object"),
        (ACCURACY_FILE.replace("0.9551", '"high"').encode(), "train.accuracy Input should be a "),
        (ACCURACY_FILE.replace("per_class", "each").encode(), "val.per_class Field required"),
    ],
)
def test_damaged_accuracy_is_named_with_the_reason(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "accuracy.json"
    path.write_bytes(content)
    with pytest.raises(FileError) as caught:
        results.read_accuracy(path)
    assert str(caught.value).startswith(f"{path}: damaged ({reason}")
    assert "\n" not in str(caught.value)


# Predictions


def test_predictions_file_has_exact_bytes(tmp_path: Path) -> None:
    results.write_predictions(tmp_path / "plots" / "predictions.csv", PREDICTIONS)
    assert (tmp_path / "plots" / "predictions.csv").read_bytes() == PREDICTIONS_FILE.encode()


def test_predictions_are_read_with_the_written_decimals(tmp_path: Path) -> None:
    (tmp_path / "predictions.csv").write_text(PREDICTIONS_FILE)
    assert results.read_predictions(tmp_path / "predictions.csv") == [
        Prediction(0, "airplane", "airplane", 0.965),
        Prediction(1, "bird", "airplane", 0.5),
        Prediction(2, "bird", "bird", 1.0),
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"image,actual\n0,bird\n", "'predicted'"),
        (b"image,actual,predicted,confidence\n0,bird\n", "float() argument must be"),
        (b"image,actual,predicted,confidence\nx,bird,bird,0.5\n", "invalid literal for int()"),
        (b"image,actual,predicted,confidence\n0,bird,bird,x\n", "could not convert string"),
        (b"image,actual,predicted,confidence\n1,bird,bird,0.5\n", "its images are not numbered"),
        (b"image,actual,predicted,confidence\n-1,bird,bird,0.5\n", "its images are not numbered"),
        (b"image,actual,predicted,confidence\n0,b\xff,bird,0.5\n", "'utf-8' codec can't decode"),
        (b'image,actual,predicted,confidence\n0,"' + 200_000 * b"b" + b'"\n', "field larger than"),
    ],
)
def test_damaged_predictions_are_named_with_the_reason(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "predictions.csv"
    path.write_bytes(content)
    with pytest.raises(FileError) as caught:
        results.read_predictions(path)
    assert str(caught.value).startswith(f"{path}: damaged ({reason}")
    assert "\n" not in str(caught.value)


def test_predictions_in_another_order_are_an_error(tmp_path: Path) -> None:
    header, first, *others = PREDICTIONS_FILE.splitlines()
    path = tmp_path / "predictions.csv"
    path.write_text("\n".join([header, *others, first]))
    with pytest.raises(FileError, match=r"its images are not numbered from 0"):
        results.read_predictions(path)


# Both

READERS = [results.read_accuracy, results.read_predictions]


@pytest.mark.parametrize("read", READERS)
def test_missing_file_is_named(read: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(MissingFile) as caught:
        read(tmp_path / "absent")
    assert str(caught.value) == f"{tmp_path / 'absent'}: no such file"


@settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150
)
@given(
    read=st.sampled_from(READERS),
    start=st.sampled_from([b"", b"{", b"image,actual,predicted,confidence\n0,"]),
    rest=st.binary(max_size=200) | st.text(max_size=200).map(str.encode),
)
def test_any_bytes_are_read_or_are_an_error(
    read: Callable[[Path], object], start: bytes, rest: bytes, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(start + rest)
    try:
        assert read(tmp_path / "file") is not None
    except FileError as error:
        assert "\n" not in str(error)
