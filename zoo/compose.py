"""Write what each run of the zoo depends on: its settings, and checksums of its code.

A run's settings are the project's, with what its variant changes, and its seed. What the run does
not use has a fixed value, so that another default trains only the variants that use it. The
checksums stand in a comment above. They are of the code that the main pipeline's `dvc.yaml` names:
for a training that of `train`, for an evaluation that of both `train` and `evaluate`. So DVC runs a
run again when its settings or its code change. The MD5 of the file for the evaluation lies beside a
result as `made_by`, and says which settings and code made it. A run on folds, which trains and
evaluates in one stage, has this file alone.
"""

import hashlib
from collections.abc import Iterable
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
    code_of_training = stages["train"]["deps"]
    code_of_both = dict.fromkeys([*code_of_training, *stages["evaluate"]["deps"]])

    with files.folder(runs) as part:
        for name, run in variants.runs(content, defaults, str(zoo)):
            to_train = params.of_training(run)
            not_read = {key: getattr(to_train.data, key) for key in ("source", "size", "fit")}
            data = run.data.model_copy(update=not_read)
            # Without a holdout there are no test images.
            test = run.evaluation.test or not run.data.holdout
            evaluation = run.evaluation.model_copy(update={"test": test})
            to_evaluate = to_train.model_copy(update={"data": data, "evaluation": evaluation})
            more, own = {}, []
            variant, _, kind = name.rpartition("-")
            if kind == "folds" and (design := content.design(variant)):
                more, own = {"folds": design.model_dump(exclude={"variants"})}, ["zoo/folds.py"]
            else:
                code = checksums(pipeline.parent, code_of_training, run.model.name)
                write(part / "train" / f"{name}.yaml", to_train.model_dump(), code)
            code = checksums(pipeline.parent, [*code_of_both, *own], run.model.name)
            write(part / "evaluate" / f"{name}.yaml", to_evaluate.model_dump() | more, code)


def checksums(root: Path, deps: Iterable[str], model: str) -> str:
    """Return a comment with the MD5 of each file of code among `deps`, as `dvc.yaml` names them."""
    lines = []
    for dep in deps:
        if not dep.startswith(("src/", "stages/", "zoo/")):
            continue
        path = root / dep.replace("${model.name}", model)
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            text = file.read_text(encoding="utf-8").encode()  # the same with CRLF
            digest = hashlib.md5(text, usedforsecurity=False).hexdigest()
            lines.append(f"# {digest}  {file.relative_to(root).as_posix()}\n")
    return "".join(lines)


def write(path: Path, settings: dict[str, Any], comment: str) -> None:
    files.write(path, (comment + yaml.safe_dump(settings, sort_keys=False)).encode())
