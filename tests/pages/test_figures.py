"""The figures in README.md and docs/ are those of the results."""

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


def test_unknown_figure_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown figure: vall strong"):
        figures.figure("vall", "strong")


def test_pages_are_short() -> None:
    for page in figures.pages():
        lines = page.read_text(encoding="utf-8").count("\n")
        assert lines <= (180 if page.name == "README.md" else 150), page.name
