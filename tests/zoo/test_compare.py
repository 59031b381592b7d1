"""Which runs `compare` and `trials` compare, and the files that they and `confusion` write."""

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from cifar2.errors import FileError, UserError
from cifar2.report import results
from cifar2.report.results import Prediction
from tests.conftest import ZOO_STAGES, contents
from tests.zoo.runs import mark, some_accuracy, write_run
from zoo import compare as compare_stage
from zoo import confusion as confusion_stage
from zoo import plotting
from zoo import trials as trials_stage

NONE: dict[str, Any] = {"seeds": [], "variants": {}}
ZOO = {
    "common": {},
    "quick": {"seeds": [1, 3], "variants": {"baseline": {}, "width": {}, "new": {}}},
    "middle": NONE,
    "slow": NONE,
    "ten_classes": {"seeds": [1], "classes": ["bird", "cat"], "variants": {"other": {}}},
    "trials": {"holdout": 0.2, "seeds": [1, 2, 3], "variants": {"low": {}, "high": {}, "one": {}}},
    "asked_about_others": [],
    "book": {"width": {"train": 0.96, "val": 0.9}},
}


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """Give a zoo with two runs of `baseline`, one of `width`, one on other classes, and trials."""
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(ZOO, sort_keys=False))
    write_run(tmp_path, "baseline-1", right=7)
    write_run(tmp_path, "baseline-3", right=8)
    write_run(tmp_path, "width-3", right=9, model__name="netwidth")
    write_run(tmp_path, "other-1", right=5, classes=("bird", "cat"))
    for seed, right in ((1, 7), (2, 8), (3, 9)):
        write_run(tmp_path, f"low-{seed}", right=right)
        write_run(tmp_path, f"high-{seed}", right=10)
    write_run(tmp_path, "one-2", right=5)
    return tmp_path


def run(stage: Any, name: str, zoo: Path) -> dict[str, bytes]:
    """Run a stage in this process with the paths of its command; return the outputs."""
    _, _, _, *options = shlex.split(ZOO_STAGES[name]["cmd"])
    pairs = zip(options[::2], options[1::2], strict=True)
    stage.main(**{option[2:].replace("-", "_"): zoo / path for option, path in pairs})
    inputs = ("settings/", "runs/", "params.yaml")
    files = contents(zoo).items()
    return {file: content for file, content in files if not file.startswith(inputs)}


def compare(zoo: Path) -> dict[str, bytes]:
    return run(compare_stage, "compare", zoo)


def compare_trials(zoo: Path) -> tuple[list[str], list[str]]:
    """Return the lines of both tables."""
    files = run(trials_stage, "compare_trials", zoo)
    return files["trials.csv"].decode().splitlines(), files[
        "trials_pairs.csv"
    ].decode().splitlines()


def test_results_of_the_variants_are_compared_with_each_other_and_with_the_book(zoo: Path) -> None:
    files = compare(zoo)
    summary = json.loads(files["results.json"])
    assert list(summary) == ["baseline", "width", "other"]
    assert summary["baseline"]["val"] == {"mean": 0.75, "std": 0.070711, "seeds": [0.7, 0.8]}
    row = "| `width` | 38,386 | 2 | 1 | 0.9000 | 0.9000 | 0.96, 0.90 |"
    assert row in files["table.md"].decode().splitlines()
    header, *pairs = files["pairs.csv"].decode().splitlines()
    assert header == "a,b,difference,low,high,real"
    assert [pair.split(",")[:3] for pair in pairs] == [["baseline", "width", "-0.15000"]]
    card = files["cards/baseline.md"].decode()
    assert "| val | 0.7500 ± 0.0707 |" in card
    assert "2 networks, which differ in their seed: 1, 3." in card


def test_outputs_have_the_same_bytes_every_time(zoo: Path) -> None:
    first = compare(zoo)
    pictures = {"accuracy.png", "curves.png", "pairs.png"}
    cards = {f"cards/{name}.md" for name in ("baseline", "width", "other")}
    assert first.keys() == {"results.json", "table.md", "pairs.csv"} | pictures | cards
    assert compare(zoo) == first


def test_book_is_left_out_where_val_is_other_images(zoo: Path) -> None:
    for path in (zoo / "settings/evaluate").iterdir():
        content = yaml.safe_load(path.read_text())
        content["data"]["holdout"] = 0.2
        path.write_text(yaml.safe_dump(content))
        mark(zoo, path.stem)
    assert "0.96, 0.90" not in compare(zoo)["table.md"].decode()


def test_results_of_other_settings_stay_and_are_in_no_table(zoo: Path) -> None:
    """Also where this leaves a variant without a run, and a trial without a fold."""
    for name in ("baseline-3", "width-3", "other-1", "high-2"):
        with open(zoo / "settings/evaluate" / f"{name}.yaml", "a") as file:
            file.write("# another checksum\n")
    before = contents(zoo / "runs")
    files = compare(zoo)
    summary = json.loads(files["results.json"])
    assert {name: each["val"]["seeds"] for name, each in summary.items()} == {"baseline": [0.7]}
    assert len(files["table.md"].splitlines()) == 3
    assert len(files["pairs.csv"].splitlines()) == 1
    assert [name for name in files if name.startswith("cards/")] == ["cards/baseline.md"]
    table, pairs = compare_trials(zoo)
    assert [line.partition(",")[0] for line in table] == ["trial", "low"]
    assert len(pairs) == 1
    assert contents(zoo / "runs") == before


def test_without_a_compared_run_compare_leaves_its_outputs_and_trials_are_compared(
    zoo: Path,
) -> None:
    before = compare(zoo)
    for name in ("baseline-1", "baseline-3", "width-3"):
        (zoo / "runs" / name / "accuracy.json").unlink()
    with pytest.raises(UserError, match=r"^no run is finished yet$"):
        compare(zoo)
    assert before.items() <= contents(zoo).items()
    assert len(compare_trials(zoo)[0]) == 3


@pytest.mark.parametrize("other", [{"dataset": "synthetic"}, {"classes": ("airplane", "cat")}])
def test_runs_on_different_images_are_an_error(other: dict[str, Any], zoo: Path) -> None:
    write_run(zoo, "width-1", **other)
    with pytest.raises(UserError, match="width-1 was evaluated on different images from the oth"):
        compare(zoo)
    write_run(zoo, "high-2", **other)
    with pytest.raises(UserError, match="high-2 was evaluated on different images from the othe"):
        compare_trials(zoo)


# Trials


def test_trials_that_have_all_folds_are_compared_over_all_their_images(zoo: Path) -> None:
    table, pairs = compare_trials(zoo)
    assert table == [
        "trial,epochs,accuracy,std,loss,1,2,3",
        "low,2,0.8,0.1,1.0,0.7,0.8,0.9",
        "high,2,1.0,0.0,1.0,1.0,1.0,1.0",
    ]
    header, pair = pairs
    assert header == "a,b,difference,low,high,real"
    assert pair.startswith("low,high,-0.20000,")


def test_zoo_without_finished_trials_has_empty_tables(zoo: Path) -> None:
    for folder in (zoo / "runs").iterdir():
        (folder / "accuracy.json").unlink()
    assert [len(table) for table in compare_trials(zoo)] == [1, 1]


# Confusion


def confuse(folder: Path, *answers: tuple[str, str]) -> None:
    """Draw the picture of some answers, each an actual and a predicted class."""
    accuracy, predictions = folder / "accuracy.json", folder / "predictions.csv"
    results.write_accuracy(accuracy, some_accuracy(0.5, ["bird", "airplane"]))
    rows = [Prediction(index, *answer, 0.9) for index, answer in enumerate(answers)]
    results.write_predictions(predictions, rows)
    confusion_stage.main(accuracy, predictions, folder / "confusion.png")


def test_confusion_has_actual_classes_as_rows_and_predicted_ones_as_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[object] = []

    def note(classes: list[str], counts: NDArray[np.int64], title: str) -> bytes:
        drawn.extend([classes, counts.tolist(), title])
        return b"a picture"

    monkeypatch.setattr(plotting, "confusion", note)
    right, wrong = ("bird", "bird"), ("bird", "airplane")
    confuse(tmp_path, right, wrong, wrong, ("airplane", "airplane"))
    title = "net on cifar10: val accuracy 0.5000"
    assert drawn == [["bird", "airplane"], [[1, 2], [0, 1]], title]
    assert (tmp_path / "confusion.png").read_bytes() == b"a picture"


@pytest.mark.parametrize("answer", [("bird", "cat"), ("cat", "bird")])
def test_unknown_class_is_an_error(answer: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"predictions\.csv: unknown class 'cat'$"):
        confuse(tmp_path, ("bird", "bird"), answer)
    assert not (tmp_path / "confusion.png").exists()
