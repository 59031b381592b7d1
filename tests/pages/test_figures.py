"""The figures in README.md and docs/ are those of the results."""

import json
from pathlib import Path

import pytest

from pages import figures


@pytest.mark.parametrize("page", figures.pages(), ids=lambda page: page.name)
def test_figures_are_those_of_the_results(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == figures.inserted(text), "`make docs` inserts the new figures"


def test_a_figure_replaces_an_old_one() -> None:
    start, end = "has <!-- figure: val strong -->", "<!-- end --> on val"
    now = figures.figure("val", "strong")
    assert figures.inserted(f"{start}0.1{end}") == f"{start}{now}{end}"


def test_table_of_other_classes_may_be_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is on the stand-in."""
    (tmp_path / "metrics").mkdir()
    table = tmp_path / "metrics/neither.csv"
    monkeypatch.setattr(figures, "ROOT", tmp_path)
    table.write_text("class,images,cat,dog,frog,confidence,sure\n")
    head = "| shown | called cat | called dog | called frog | mean probability | sure |"
    assert figures.figure("neither") == f"{head}\n|---|---:|---:|---:|---:|---:|"
    with table.open("a") as file:
        file.write("all,8,0.5,0.25,0.25,0.876,0.125\n")
    assert figures.figure("neither").endswith("\n| all | 50.0% | 25.0% | 25.0% | 0.88 | 12.5% |")


def test_an_ensemble_averages_probabilities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where two networks disagree, the surer one decides."""
    monkeypatch.setattr(figures, "ROOT", tmp_path)
    head = "image,actual,predicted,confidence\n"
    for seed, rows in (
        (1, "0,bird,bird,0.9\n1,bird,airplane,0.6\n2,bird,bird,0.6\n"),
        (2, "0,bird,airplane,0.6\n1,bird,bird,0.9\n2,bird,airplane,0.9\n"),
    ):
        run = tmp_path / f"zoo/runs/pair-{seed}"
        run.mkdir(parents=True)
        (run / "predictions.csv").write_text(head + rows)
    (tmp_path / "zoo/results.json").write_text('{"pair": {"val": {"seeds": [0.5, 0.5]}}}')
    assert figures.figure("ensembles", "pair").splitlines()[2:] == [
        "| 1 | 2 | 0.5000 | 0.3333 to 0.6667 |",
        "| 2 | 1 | 0.6667 | 0.6667 to 0.6667 |",
    ]


def test_reach_is_half_of_a_mean_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The networks of a variant agree. One is always right, the other on two of four images.

    Of four images drawn anew, none or all are of these two in 6% of the cases each. So the interval
    is 0 to 1. The normal one is 1.96 times a standard error of 0.5 / 2 to either side.
    """
    monkeypatch.setattr(figures, "ROOT", tmp_path)
    for run, right in (("one-1", 4), ("one-2", 4), ("two-1", 2), ("two-2", 2), ("few-1", 1)):
        rows = [f"{i},bird,{'bird' if i < right else 'airplane'},0.9\n" for i in range(4)]
        folder = tmp_path / "zoo/runs" / run
        folder.mkdir(parents=True)
        (folder / "predictions.csv").write_text(
            "image,actual,predicted,confidence\n" + "".join(rows)
        )
    seeds = {"one": [1.0, 1.0], "two": [0.5, 0.5], "few": [0.25], "other": [0.5, 0.5, 0.5]}
    zoo = {name: {"val": {"seeds": accuracies}} for name, accuracies in seeds.items()}
    (tmp_path / "zoo/results.json").write_text(json.dumps(zoo))
    (tmp_path / "zoo/pairs.csv").write_text("a,b\none,two\none,few\ntwo,few\n")
    assert figures.figure("reach").splitlines()[2:] == [
        "| 2 seeds | 0.500 |",
        "| 2 seeds, if only the images are drawn anew | 0.490 |",
    ]


def test_unknown_figure_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown figure: vall strong"):
        figures.figure("vall", "strong")


def test_pages_are_short() -> None:
    for page in figures.pages():
        lines = page.read_text(encoding="utf-8").count("\n")
        assert lines <= (180 if page.name == "README.md" else 150), page.name
