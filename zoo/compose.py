"""Write what each run of the zoo depends on: its settings, and checksums of its code.

A run's settings are the project's, with what its variant changes, and its seed. What the run does
not use has a fixed value, so that another default trains only the variants that use it. The
checksums stand in a comment above. They are of the code that the main pipeline's `dvc.yaml` names
for the same stage. So a run's file changes, and DVC trains it again, when its settings or its code
do; and the zoo's own `dvc.yaml` need not name the network of each variant.
"""

import hashlib
from pathlib import Path
from typing import Any

import yaml

from cifar2 import files, params
from zoo import variants

HELP = {
    "settings": "the project's settings file",
    "zoo": "the zoo's settings file",
    "pipeline": "the main pipeline's dvc.yaml",
    "runs": "the folder to write a file per run to",
}


def main(settings: Path, zoo: Path, pipeline: Path, runs: Path) -> None:
    defaults = params.load(settings)
    content = variants.load(zoo)
    stages = yaml.safe_load(pipeline.read_bytes())["stages"]
    with files.folder(runs) as part:
        ten_classes = defaults.data.model_copy(update={"classes": content.ten_classes.classes})
        data_alone = params.of_training(defaults).model_copy(update={"data": ten_classes})
        write(part / "ten_classes.yaml", data_alone)
        for seed in content.trials.seeds:
            held = {"holdout": content.trials.holdout, "fold": seed - 1}
            apart = defaults.data.model_copy(update=held)
            data_alone = params.of_training(defaults).model_copy(update={"data": apart})
            write(part / f"trials-{seed}.yaml", data_alone)
        for name, run in variants.runs(content, defaults, str(zoo)):
            to_train = params.of_training(run)
            holdout = run.data.model_dump(include={"holdout", "fold"})  # for the model card
            data = to_train.data.model_copy(update=holdout)
            evaluation = run.evaluation
            if not run.data.holdout:  # then there are no test images
                evaluation = evaluation.model_copy(update={"test": True})
            to_evaluate = to_train.model_copy(update={"data": data, "evaluation": evaluation})
            for stage, needed in (("train", to_train), ("evaluate", to_evaluate)):
                code = checksums(pipeline.parent, stages[stage]["deps"], run.model.name)
                write(part / stage / f"{name}.yaml", needed, code)


def checksums(root: Path, deps: list[str], model: str) -> str:
    """Return a comment with the MD5 of each file of code among `deps`, as `dvc.yaml` names them."""
    lines = []
    for dep in deps:
        path = root / dep.replace("${model.name}", model)
        if not dep.startswith(("src/", "stages/")):
            continue
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            text = file.read_text(encoding="utf-8").encode()  # the same with CRLF
            digest = hashlib.md5(text, usedforsecurity=False).hexdigest()
            lines.append(f"# {digest}  {file.relative_to(root).as_posix()}\n")
    return "".join(lines)


def write(path: Path, settings: params.Params, code: str = "") -> None:
    content: dict[str, Any] = settings.model_dump()
    files.write(path, (code + yaml.safe_dump(content, sort_keys=False)).encode())
