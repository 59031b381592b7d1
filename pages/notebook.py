"""Build docs/notebook.ipynb, with its outputs, from docs/notebook.py: `make docs`.

The cells run in a copy of the project that was trained on the stand-in, so that no image of
CIFAR-10 is in the outputs. They take minutes, and give the same bytes every time.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import jupytext
import nbclient
import nbformat

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "docs" / "notebook.py"
SHORT = "-S data.source=synthetic -S train.device=cpu -S train.epochs=15 -S train.momentum=0.9"
COMMIT = "git add --all && git -c user.name=docs -c user.email=docs@example.com commit -qm run"
COMMANDS = [
    f"git init -q --initial-branch=main && {COMMIT}",
    f"dvc exp run -q {SHORT} && {COMMIT}",
    *(f"dvc exp run -q -n {name} -S model.name=net{name}" for name in ("width", "depth")),
    "git restore --staged --worktree . && dvc checkout -q",
]


def build(project: Path) -> None:
    listed = ["git", "ls-files", "-co", "--exclude-standard"]
    for name in subprocess.check_output(listed, cwd=ROOT, text=True).splitlines():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, project / name)
    subprocess.run(" && ".join(COMMANDS), shell=True, cwd=project, check=True)
    notebook = jupytext.read(SCRIPT, fmt="py:percent")
    nbclient.execute(
        notebook, cwd=str(project / "docs"), timeout=600, record_timing=False, coalesce_streams=True
    )
    for number, cell in enumerate(notebook.cells):
        cell.update(id=f"cell-{number}", metadata={})  # ids would be random
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    nbformat.write(notebook, SCRIPT.with_suffix(".ipynb"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
