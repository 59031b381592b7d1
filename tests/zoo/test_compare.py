"""Which runs `compare` compares, and the files that they write."""

import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from cifar2.errors import UserError
from tests.conftest import ROOT, contents
from tests.stages import source
from tests.zoo.runs import write_on_folds, write_run
from zoo import compare as compare_stage
from zoo import comparison, plotting

STAGES = yaml.safe_load((ROOT / "zoo/dvc.yaml").read_text())["stages"]
NONE: dict[str, Any] = {"seeds": [], "variants": {}}
ZOO: dict[str, Any] = {
    "common": {},
    "quick": {"seeds": [1, 3], "variants": {"baseline": {}, "width": {}, "new": {}}},
    "middle": NONE,
    "slow": NONE,
    "folds": {"folds": 2, "seeds": 2, "variants": ["baseline"]},
    "trials": {"folds": 2, "seeds": 2, "variants": {"low": {}, "high": {}, "one": {}}},
    "asked_about_others": [],
    "book": {"width": {"train": 0.96, "val": 0.9}},
}


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """Give a zoo with two runs of `baseline`, one of `width`, and trials."""
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(ZOO, sort_keys=False))
    write_run(tmp_path, "baseline-1", right=7)
    write_run(tmp_path, "baseline-3", right=8)
    write_run(tmp_path, "width-3", right=9, model__name="netwidth")
    write_on_folds(tmp_path, "low", right=7)
    write_on_folds(tmp_path, "high", right=9)
    return tmp_path


def compare(zoo: Path) -> dict[str, bytes]:
    """Compare, and return the outputs."""
    compare_stage.main(zoo)
    inputs = ("settings/", "runs/", "params.yaml")
    return {path: content for path, content in contents(zoo).items() if not path.startswith(inputs)}


def test_results_of_the_variants_are_compared_with_each_other_and_with_the_book(zoo: Path) -> None:
    files = compare(zoo)
    summary = json.loads(files["results.json"])
    assert list(summary) == ["baseline", "width"]
    assert summary["baseline"]["val"] == {"mean": 0.75, "std": 0.070711, "seeds": [0.7, 0.8]}
    row = "| `width` | 38,386 | 2 | 1 | 0.9000 | 0.9000 | 0.96, 0.90 |"
    assert row in files["table.md"].decode().splitlines()
    # Two trainings and one are not enough for a comparison.
    assert [len(files[name].splitlines()) for name in ("pairs.csv", "scores.csv")] == [1, 1]
    card = files["cards/baseline.md"].decode()
    assert "| val | 0.7500 ± 0.0707 |" in card
    assert "2 networks, which differ in their seed: 1, 3." in card
    pictures = {"curves.png", "pairs.png"}
    cards = {f"cards/{name}.md" for name in ("baseline", "width")}
    tables = {"results.json", "table.md", "pairs.csv", "scores.csv", "trials.csv"}
    tables.add("trials_pairs.csv")
    assert files.keys() == tables | pictures | cards
    outputs = {path.partition("/")[0] for path in files}
    assert outputs == source.paths(STAGES["compare"], "outs", "metrics")
    assert compare(zoo) == files  # the same bytes every time


def test_answers_are_in_the_cards_and_the_picture_says_what_was_chosen_by_looking_at_val(
    zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in (1, 2, 3):
        write_run(zoo, f"baseline-{seed}", right=5)
        write_run(zoo, f"width-{seed}", right=10, model__name="netwidth")
    content = ZOO | {"quick": {"seeds": [1, 2, 3], "variants": {"baseline": {}, "width": {}}}}
    (zoo / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    monkeypatch.setattr(comparison, "CHOSEN", ("width",))
    with mock.patch.object(plotting, "triangle", return_value=b"") as triangle:
        files = {name: content.decode(errors="replace") for name, content in compare(zoo).items()}
    assert triangle.call_args.args[1].endswith("\non val; chosen by looking at val: width")
    assert files["pairs.csv"].splitlines()[1].startswith("width,baseline,0.50000,")
    assert files["scores.csv"].splitlines()[2].startswith("width,3,1.0000,0.0000,")
    assert "## Compared with" not in files["cards/baseline.md"]
    card = files["cards/width.md"]
    assert (
        "\n## Compared with `baseline`\n\nIts accuracy on val is better: the difference is" in card
    )
    assert card.endswith(" But it was chosen by looking at val, which flatters it.\n")


def test_book_is_left_out_where_val_is_other_images(zoo: Path) -> None:
    write_run(zoo, "width-3", data__holdout=0.2)
    assert "0.96, 0.90" not in compare(zoo)["table.md"].decode()


def test_results_of_other_settings_or_code_stay_and_are_in_no_table(zoo: Path) -> None:
    """Also where this leaves a variant without a run."""
    for name in ("baseline-3", "width-3", "high-folds"):
        path = zoo / f"settings/evaluate/{name}.yaml"
        path.write_text(f"{path.read_text()}# another checksum\n")
    before = contents(zoo / "runs")
    files = compare(zoo)
    summary = json.loads(files["results.json"])
    assert {name: each["val"]["seeds"] for name, each in summary.items()} == {"baseline": [0.7]}
    assert [len(files[name].splitlines()) for name in ("table.md", "pairs.csv")] == [3, 1]
    assert [name for name in files if name.startswith("cards/")] == ["cards/baseline.md"]
    assert [line[:5] for line in files["trials.csv"].splitlines()] == [b"trial", b"low,2"]
    assert len(files["trials_pairs.csv"].splitlines()) == 1
    assert contents(zoo / "runs") == before


def test_without_a_compared_run_only_trials_are_compared(zoo: Path) -> None:
    before = compare(zoo)
    for name in ("baseline-1", "baseline-3", "width-3", "low-folds"):
        (zoo / "runs" / name / "made_by").unlink()
    with pytest.raises(UserError, match=r"^no run is finished yet$"):
        compare(zoo)
    after = contents(zoo)
    assert len(after["trials.csv"].splitlines()) == 2
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"trials.csv", "trials_pairs.csv"}
    none = {"quick": NONE, "folds": ZOO["folds"] | {"variants": []}}
    (zoo / "params.yaml").write_text(yaml.safe_dump(ZOO | none))
    assert compare(zoo).keys() == before.keys()  # it is no error, if there is no variant


def test_runs_on_different_images_are_an_error(zoo: Path) -> None:
    write_run(zoo, "width-1", dataset="synthetic")
    with pytest.raises(UserError, match=r"^width-1 was evaluated on different images from the"):
        compare(zoo)
    table = zoo / "runs/high-folds/answers.csv"
    table.write_text(table.read_text().replace("\n0,", "\n1,", 1))  # an image of another fold
    with pytest.raises(UserError, match=r"^high-folds was evaluated on different images from the"):
        compare(zoo)


def test_trainings_on_folds_are_compared_where_both_have_them_and_else_those_on_val(
    zoo: Path,
) -> None:
    files = compare(zoo)
    assert files["trials.csv"].decode().splitlines() == [
        "trial,epochs,accuracy,std,loss,1,2,3,4",
        "low,2,0.7,0.0,1.0,0.7,0.7,0.7,0.7",
        "high,2,0.9,0.0,1.0,0.9,0.9,0.9,0.9",
    ]
    assert b"\nhigh,low,0.20000,-0.06133,0.46133," in files["trials_pairs.csv"]
    variants: dict[str, Any] = {"baseline": {}, "width": {}, "new": {}}
    content = ZOO | {"quick": {"seeds": [1, 2, 3], "variants": variants}}
    content["folds"] = {"folds": 2, "seeds": 2, "variants": ["baseline", "width"]}
    (zoo / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    for name in variants:
        for seed in (1, 2, 3):
            write_run(zoo, f"{name}-{seed}", right=5)
    write_on_folds(zoo, "baseline", right=7)
    write_on_folds(zoo, "width", right=9)
    pairs = compare(zoo)["pairs.csv"].decode().splitlines()[1:]
    differences = {line.split(",")[0]: line.split(",")[:3] for line in pairs}
    assert differences["width"] == ["width", "baseline", "0.20000"]
    assert differences["new"][2] == "0.00000"
