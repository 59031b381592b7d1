"""The notebook beside chapter 8: a script, and docs/notebook.ipynb, which has its outputs."""

import json
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, copy_project, run

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


def test_notebook_has_the_cells_of_the_script_and_outputs_without_an_error() -> None:
    cells = json.loads(NOTEBOOK.read_bytes())["cells"]
    lines = []
    for cell in cells:
        head, start = ("# %%", "") if cell["cell_type"] == "code" else ("# %% [markdown]", "# ")
        source = "".join(cell["source"]).splitlines()
        lines += [head, *(f"{start}{line}".rstrip() for line in source if line or start)]
    script = (ROOT / "docs" / "notebook.py").read_text(encoding="utf-8").splitlines()
    assert lines == [line for line in script if line], "`make docs` builds it"
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert {each["output_type"] for each in outputs} == {"display_data", "stream"}
    # There is no image of CIFAR-10 in it, nor a warning.
    assert "synthetic" in str(outputs) and not {"cifar10", "stderr"} & set(str(outputs).split("'"))
    assert len(cells) <= 25 and NOTEBOOK.stat().st_size < 300_000


@pytest.mark.parametrize("after_dvc", [False, True])
def test_script_runs_from_top_to_bottom(after_dvc: bool, clone: Path, tmp_path: Path) -> None:
    project = clone if after_dvc else copy_project(tmp_path)
    said = run(sys.executable, project / "docs" / "notebook.py", cwd=tmp_path, timeout=120)
    assert "18,090 parameters\n18,090 parameters\n<All keys matched" in said
    assert said.count("accuracy on val: ") == 1 + after_dvc
    assert ("Type `dvc repro`" in said) != after_dvc
    assert "\ndataset " in said.partition("\nexperiment  ")[2] and "Warning" not in said
