"""The files for VS Code: this project's tasks, and what an editor installs."""

import json

from dvc.cli import parse_args

from tests.conftest import ROOT


def test_tasks_are_commands_of_dvc() -> None:
    json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_bytes())
    json.loads((ROOT / ".vscode" / "extensions.json").read_bytes())
    for task in json.loads((ROOT / ".vscode" / "tasks.json").read_bytes())["tasks"]:
        assert " ".join([task["command"], *task["args"]]).startswith(task["label"])
        assert parse_args(task["args"])  # an unknown command or option is an error
