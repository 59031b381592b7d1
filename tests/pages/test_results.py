"""The numbers in README.md and docs/ are those of the results."""

from pathlib import Path

import pytest

from pages import results
from tests.conftest import needs_zoo


@needs_zoo
@pytest.mark.parametrize("page", results.pages(), ids=lambda page: page.name)
def test_pages_are_short_and_have_the_present_results(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == results.inserted(text), "`make docs` inserts the new results"
    assert text.count("\n") <= (180 if page.name == "README.md" else 150)


@needs_zoo
def test_a_result_replaces_an_old_one_and_an_unknown_one_is_an_error() -> None:
    start = "has <!-- result: val strong -->"
    assert results.inserted(f"{start}0.1<!-- end -->").startswith(f"{start}0.97")
    with pytest.raises(KeyError, match="vall"):
        results.inserted("<!-- result: vall strong --><!-- end -->")


@needs_zoo
def test_ensembles_and_intervals_are_of_the_runs_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In `pair`, the surer network decides. `two` is wrong on two of four images. Of four drawn
    # anew, none or all are of these two in 6% of the cases each: the interval is 0 to 1. The one of
    # images alone is 1.96 times a standard error of 0.5 / 2 to either side.
    runs = {  # whether each answer is right, and its probability
        **dict.fromkeys(["one-1", "one-4"], "+9 +9 +9 +9"),
        **dict.fromkeys(["two-9", "two-10"], "+9 +9 -9 -9"),
        **dict.fromkeys(["few-1", "alone-1", "alone-2", "alone-3"], "+9 -9 -9 -9"),
        **{"pair-3": "+9 -6 +6", "pair-20": "-6 +9 -9"},
    }
    monkeypatch.setattr(results, "ROOT", tmp_path)
    for run, answers in runs.items():
        table = "image,actual,predicted,confidence\n"
        for image, answer in enumerate(answers.split()):
            table += f"{image},bird,{'bird' if answer[0] == '+' else 'airplane'},0.{answer[1]}\n"
        (tmp_path / "zoo/runs" / run).mkdir(parents=True)
        (tmp_path / "zoo/runs" / run / "predictions.csv").write_text(table)
    (tmp_path / "zoo/pairs.csv").write_text("a,b\none,two\none,few\ntwo,few\n")
    ensembles, reach = results.RESULTS["ensembles"]("pair"), results.RESULTS["reach"]()
    assert "| 1 | 2 | 0.5000 | 0.3333 to 0.6667 |\n" in ensembles
    assert "| 2 | 1 | 0.6667 | 0.6667 to 0.6667 |\n" in ensembles
    assert "| 2 seeds | 0.500 |\n" in reach
    assert "| 2 seeds, if only the images are drawn anew | 0.490 |\n" in reach
