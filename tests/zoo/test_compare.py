"""Which runs `compare` and `trials` compare, and the files that they write."""

import json
import shlex
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from cifar2.errors import UserError
from tests.conftest import ROOT, contents
from tests.zoo.runs import write_run
from zoo import compare as compare_stage
from zoo import comparison, plotting
from zoo import trials as trials_stage

STAGES = yaml.safe_load((ROOT / "zoo/dvc.yaml").read_text())["stages"]
NONE: dict[str, Any] = {"seeds": [], "variants": {}}
ZOO = {
    "common": {},
    "quick": {"seeds": [1, 3], "variants": {"baseline": {}, "width": {}, "new": {}}},
    "middle": NONE,
    "slow": NONE,
    "own_seeds": {"runs": [], "variants": {}},
    "trials": {"holdout": 0.2, "seeds": [1, 2, 3], "variants": {"low": {}, "high": {}, "one": {}}},
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
    for seed, right in ((1, 7), (2, 8), (3, 9)):
        write_run(tmp_path, f"low-{seed}", right=right)
        write_run(tmp_path, f"high-{seed}", right=10)
    write_run(tmp_path, "one-2", right=5)
    return tmp_path


def run(stage: Any, name: str, zoo: Path) -> dict[str, bytes]:
    """Run a stage in this process with the paths of its command; return the outputs."""
    _, _, _, *options = shlex.split(STAGES[name]["cmd"])
    pairs = zip(options[::2], options[1::2], strict=True)
    stage.main(**{option[2:].replace("-", "_"): zoo / path for option, path in pairs})
    inputs = ("settings/", "runs/", "params.yaml")
    return {path: content for path, content in contents(zoo).items() if not path.startswith(inputs)}


def compare(zoo: Path) -> dict[str, bytes]:
    return run(compare_stage, "compare", zoo)


def compare_trials(zoo: Path) -> tuple[list[str], list[str]]:
    """Return the lines of both tables."""
    files = run(trials_stage, "compare_trials", zoo)
    table, pairs = (files[name].decode() for name in ("trials.csv", "trials_pairs.csv"))
    return table.splitlines(), pairs.splitlines()


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
    pictures = {"accuracy.png", "curves.png", "pairs.png"}
    cards = {f"cards/{name}.md" for name in ("baseline", "width")}
    tables = {"results.json", "table.md", "pairs.csv", "scores.csv"}
    assert files.keys() == tables | pictures | cards
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
    assert triangle.call_args.args[1].endswith("\nchosen by looking at val: width")
    assert files["pairs.csv"].splitlines()[1].startswith("width,baseline,0.50000,")
    assert files["scores.csv"].splitlines()[2].startswith("width,3,1.0000,0.0000,")
    assert "## Compared with" not in files["cards/baseline.md"]
    card = files["cards/width.md"]
    assert "\n## Compared with `baseline`\n\nIts val accuracy is better: the difference is" in card
    assert card.endswith(" But it was chosen by looking at val, which flatters it.\n")


def test_book_is_left_out_where_val_is_other_images(zoo: Path) -> None:
    write_run(zoo, "width-3", data__holdout=0.2)
    assert "0.96, 0.90" not in compare(zoo)["table.md"].decode()


def test_results_of_other_settings_or_code_stay_and_are_in_no_table(zoo: Path) -> None:
    """Also where this leaves a variant without a run, and a trial without a fold."""
    for name in ("baseline-3", "width-3", "high-2"):
        path = zoo / f"settings/evaluate/{name}.yaml"
        path.write_text(f"{path.read_text()}# another checksum\n")
    before = contents(zoo / "runs")
    files = compare(zoo)
    summary = json.loads(files["results.json"])
    assert {name: each["val"]["seeds"] for name, each in summary.items()} == {"baseline": [0.7]}
    assert [len(files[name].splitlines()) for name in ("table.md", "pairs.csv")] == [3, 1]
    assert [name for name in files if name.startswith("cards/")] == ["cards/baseline.md"]
    table, pairs = compare_trials(zoo)
    assert ([line.partition(",")[0] for line in table], len(pairs)) == (["trial", "low"], 1)
    assert contents(zoo / "runs") == before


def test_without_a_compared_run_compare_leaves_its_outputs_and_trials_are_compared(
    zoo: Path,
) -> None:
    before = compare(zoo)
    for name in ("baseline-1", "baseline-3", "width-3"):
        (zoo / "runs" / name / "made_by").unlink()
    with pytest.raises(UserError, match=r"^no run is finished yet$"):
        compare(zoo)
    assert before.items() <= contents(zoo).items()
    assert len(compare_trials(zoo)[0]) == 3
    for name in ("low-1", "high-1"):
        (zoo / "runs" / name / "made_by").unlink()
    assert [len(table) for table in compare_trials(zoo)] == [1, 1]  # only the headers


def test_runs_on_different_images_are_an_error(zoo: Path) -> None:
    for stage, name in ((compare, "width-1"), (compare_trials, "high-2")):
        write_run(zoo, name, dataset="synthetic")
        with pytest.raises(UserError, match=f"^{name} was evaluated on different images from the"):
            stage(zoo)


def test_trials_that_have_all_folds_are_compared_over_all_their_images(zoo: Path) -> None:
    table, pairs = compare_trials(zoo)
    assert table == [
        "trial,epochs,accuracy,std,loss,1,2,3",
        "low,2,0.8,0.1,1.0,0.7,0.8,0.9",
        "high,2,1.0,0.0,1.0,1.0,1.0,1.0",
    ]
    assert pairs[1].startswith("high,low,0.20000,-0.04841,0.44841,")
