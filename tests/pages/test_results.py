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


def test_tables_are_of_the_runs_and_comparisons_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "ROOT", tmp_path)
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo/pairs.csv").write_text(
        "a,b,difference,low,high,alone,answer,kind,on\n"
        "deep,base,0.0010,-0.0060,0.0080,0.0050,equivalent,primary,val\n"
        "deep,res,-0.0090,-0.0190,0.0010,0.0100,undecided,exploratory,folds\n"
    )
    (tmp_path / "zoo/scores.csv").write_text("variant,trainings,accuracy\nres,5,0.9000\n")
    show = results.RESULTS
    assert show["compared"]("deep", "res") == "undecided (-0.0090, -0.0190 to +0.0010)"
    row = "| `deep` | +0.0010 | -0.0060 to +0.0080 | 0.0050 | equivalent |\n"
    assert show["ideas"]().endswith(f"|\n{row}")
    assert show["scores"]().endswith("\n| `res` | 5 | 0.9000 |\n")
