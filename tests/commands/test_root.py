"""At the root, commands neither read nor show the zoo, which is a DVC project of its own."""

import json
import re
import sys
from pathlib import Path

import yaml

from tests.conftest import edit, needs_zoo, run

COMMANDS = {
    "stage list": "evaluate",
    "status": "params.yaml",
    "dag": "evaluate",
    "repro --dry": "python stages train",
    "metrics diff --all": "metrics/accuracy.json",
    "params diff": "train.lr",
    "exp show --csv": "train.lr",
}
PARAMS_SHOW = "import dvc.api, json; print(json.dumps(dvc.api.params_show()))"


@needs_zoo
def test_commands_show_the_main_pipeline_and_not_the_zoo(tidy: Path) -> None:
    edit(tidy / "params.yaml", "lr: 0.01 ", "lr: 0.02 ")
    edit(tidy / "zoo" / "params.yaml", "threads: 1", "threads: 2")
    for command, shown in COMMANDS.items():
        said = run("dvc", *command.split(), cwd=tidy)
        # A name that DVC gives to an experiment, such as dowie-zoon, may hold the letters too.
        assert shown in said and not re.search(r"\bzoo\b", said), command
    run("dvc", "plots", "show", "--out", "dvc_plots", cwd=tidy)
    page = (tidy / "dvc_plots/index.html").read_text().partition("<main>")[2]
    assert "mistakes.png" in page and "zoo" not in page
    # The API fails where the same setting is in two files.
    settings = json.loads(run(sys.executable, "-c", PARAMS_SHOW, cwd=tidy))
    assert settings == yaml.safe_load((tidy / "params.yaml").read_text())
