"""Keep results when the code that made them changes, but not the bytes that it gives.

For each variant, the recorded code and the present code train side by side: for a few epochs, on a
part of the data, with the variant's own settings and one seed. If every output is the same, byte
for byte, DVC's lock file gets the present code. The recorded code is that of the latest commit that
agrees with the lock file in all but data and results.
"""

import importlib.metadata
import io
import math
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import yaml

from cifar2 import files
from zoo import ROOT, lock
from zoo.lock import ZOO, Repo, Stage
from zoo.run import Failed, Files, Task, call, copy_code, outputs_of

EPOCHS = 8  # so that a training with `train.hardest` has an epoch on all images, and others
IMAGES = 250  # to train on, and a few more: a last batch has the size that it has on all images
VAL_IMAGES = 100
# What a result depends on beside settings, data and the project's own code.
LIBRARIES = ("torch", "torchvision", "numpy", "dvclive")
# What it takes to train: code, pipelines, settings, the versions of the libraries.
PATHS = (
    "src", "stages", "weights", "zoo/*.py", "*.yaml", "zoo/*.yaml", "pyproject.toml",
    ".dvc/config", ".dvcignore", "zoo/.dvc/config", "zoo/.dvcignore",
)  # fmt: skip


class Refused(Exception):
    """The recorded results can't be kept; the message says why."""


class Training(NamedTuple):
    """A training and the stages that take its network, of which at least one is outdated."""

    settings: list[str]  # files, from the folder of the zoo
    stages: list[Stage]  # all of these
    outdated: list[Stage]


Trainings = dict[str, Training]  # by run


def adopt() -> int:
    """Record the present code where it gives the recorded bytes; return the exit status."""
    with lock.alone(), tempfile.TemporaryDirectory() as scratch:
        lock.compose()
        with lock.opened() as repo:
            outdated = _outdated_trainings(repo)
            if not outdated:
                print("zoo: every training has the present code")
                return 0
            lock.make_data()
            present = Path(scratch) / "present"
            copy_code(PATHS, ROOT, present)
            _compose(present)
            refused = _adopt(outdated, present, Path(scratch) / "recorded")
            for name, reason in refused.items():
                print(f"{name}: refused: {reason}")
            if outdated.keys() - refused.keys():
                lock.compare()
    print(f"zoo: {len(outdated) - len(refused)} trainings adopted, {len(refused)} refused")
    return 1 if refused else 0


def _adopt(outdated: Trainings, present: Path, scratch: Path) -> dict[str, str]:
    """Check trainings with a copy of the present code, and record them; return why not, by name."""
    copied = {name: _hashes(present, training) for name, training in outdated.items()}
    reasons = {name: lock.change_beside_code(each.outdated) for name, each in outdated.items()}
    refused = {name: reason for name, reason in reasons.items() if reason}
    left = {name: training for name, training in outdated.items() if name not in refused}
    for recorded, tasks in _recorded_code(left, scratch):
        for variant, names in groupby(tasks, lambda name: re.sub(r"-\d+$", "", name)):
            seeds = list(names)
            start = time.monotonic()
            try:
                _check(recorded, present, outdated[seeds[0]], tasks[seeds[0]])
                _record({name: outdated[name] for name in seeds}, copied)
            except Refused as error:
                refused |= dict.fromkeys(seeds, str(error))
                continue
            same = f"all bytes are the same ({time.monotonic() - start:.0f} s)"
            print(f"{variant}: {same}; {len(seeds)} adopted", flush=True)
        for name in tasks:
            del left[name]
    reason = "no commit has the code that it was trained with"
    reason += "; in a shallow clone, `git fetch --unshallow` gets the others"
    return refused | dict.fromkeys(left, reason)


def _outdated_trainings(repo: Repo) -> Trainings:
    """Return the trainings and evaluations that are outdated; other stages are cheap to run."""
    trainings: Trainings = {}
    for name, each in lock.runs(repo).items():
        if outdated := list(filter(lock.is_outdated, each)):
            deps = [dep.def_path for stage in each for dep in stage.deps]
            settings: list[str] = [*dict.fromkeys(d for d in deps if d.startswith("settings/"))]
            trainings[name] = Training(settings, each, outdated)
    return trainings


def _git(*words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True).stdout


def _recorded_code(trainings: Trainings, folder: Path) -> Iterator[tuple[Path, dict[str, Task]]]:
    """Yield in `folder` commits that agree with the lock file for some trainings, with these."""
    for commit in _git("rev-list", "--max-count=100", "HEAD", "--", *PATHS).decode().split():
        if not trainings:  # the caller takes out those that it was given
            return
        shutil.rmtree(folder, ignore_errors=True)
        archive = _git("archive", commit, "--", ".", ":!docs", ":!tests", ":!zoo/runs")
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
        if _compose(folder):
            copy_code(["zoo/dvc.lock"], ROOT, folder)
            found = {}
            with lock.opened(folder / "zoo") as repo:
                theirs = {stage.name: stage for stage in repo.index.stages}
                for name, training in trainings.items():
                    stages = [theirs.get(stage.name) for stage in training.stages]
                    outdated = [theirs.get(stage.name) for stage in training.outdated]
                    if all(stages) and all(map(lock.has_recorded_code, outdated)):
                        found[name] = lock.task_of(name, stages)
            yield folder, found


def _compose(project: Path) -> bool:
    """Write the settings of each run in a copy of the project; tell whether that worked."""
    try:
        pipeline = yaml.safe_load((project / "zoo" / "dvc.yaml").read_bytes())
        call("compose", pipeline["stages"]["compose"]["cmd"], project / "zoo", project / "log", {})
    except (Failed, FileNotFoundError):  # or the zoo was no DVC project yet
        return False
    return True


def _hashes(project: Path, training: Training) -> dict[str, str]:
    """Return the hashes of a training's settings and code in a copy of the project, or in ROOT."""
    paths = [path for path in lock.task_of("", training.stages).inputs if not lock.is_data(path)]
    return {path: lock.hash_of(project / "zoo" / path) for path in ["dvc.yaml", *paths]}


def _differing(these: Mapping[str, object], those: Mapping[str, object]) -> str:
    keys = sorted(these.keys() | those.keys())
    return ", ".join(key for key in keys if these.get(key) != those.get(key))


def _check(recorded: Path, present: Path, training: Training, recorded_task: Task) -> None:
    """Train and evaluate with both codes; raise Refused if libraries, settings or bytes differ."""
    _compare_libraries(recorded)
    folders = recorded / "zoo", present / "zoo"
    for path in training.settings:
        old, new = both = [yaml.safe_load((folder / path).read_bytes()) for folder in folders]
        for group in sorted(old.keys() & new.keys()):
            for key, was in sorted(old[group].items()):
                # A setting that only one of the two knows is left to the check.
                if (now := new[group].get(key, was)) != was:
                    raise Refused(f"{group}.{key} was {was}, now it is {now}")
        for folder, settings in zip(folders, both, strict=True):
            settings["train"]["epochs"] = EPOCHS
            if "folds" in settings:
                settings["folds"] |= {"folds": 2, "seeds": 1}
            (folder / path).write_bytes(yaml.safe_dump(settings, sort_keys=False).encode())
    # DVC's API can't be used in two threads at once, so the stages are read before.
    tasks = recorded_task, lock.task_of(recorded_task.name, training.stages)
    for folder in folders:
        for path in filter(lock.is_data, tasks[1].inputs):
            batch_size = settings["train"]["batch_size"]
            _write_part(ZOO / path, folder / path, batch_size)
    with ThreadPoolExecutor(2) as pool:  # of one thread each
        theirs, ours = pool.map(_outputs, ("recorded", "present"), tasks, folders)
    if differing := _differing(theirs, ours):
        raise Refused(f"the bytes differ: {differing}")


def _compare_libraries(recorded: Path) -> None:
    text = (recorded / "pyproject.toml").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"([\w.-]+)==([\w.]+)", text))
    for library in LIBRARIES:
        here = importlib.metadata.version(library).partition("+")[0]  # without "+cpu"
        if pinned.get(library, here) != here:
            raise Refused(f"trained with {library} {pinned[library]}; here is {here}")


def _write_part(data: Path, to: Path, batch_size: int) -> None:
    from cifar2.data import dataset

    whole = dataset.load(data)
    count = VAL_IMAGES
    if data.name == "train.pt":
        count = math.ceil(IMAGES / batch_size) * batch_size + len(whole.labels) % batch_size
    part = whole._replace(images=whole.images[:count].clone(), labels=whole.labels[:count].clone())
    dataset.save(part, to)


def _outputs(code: str, task: Task, folder: Path) -> Files:
    """Run the stages in a copy of the project; return what they wrote, but for their signature."""
    try:
        written = outputs_of(task, folder, folder / "log", {})
    except Failed as error:
        raise Refused(f"the {code} code fails: {error}") from error
    return {path: content for path, content in written.items() if not path.endswith("/made_by")}


def _record(trainings: Trainings, copied: dict[str, dict[str, str]]) -> None:
    """Record present code and settings; raise Refused if anything is not as it was checked."""
    for name, training in trainings.items():
        if edited := _differing(_hashes(ROOT, training), copied[name]):
            raise Refused(f"edited during the check: {edited}")
        if reason := lock.change_beside_code(training.outdated):
            raise Refused(reason)
    for training in trainings.values():
        settings = lock.hash_of(ZOO / training.settings[-1])
        for output in lock.task_of("", training.outdated).outputs:
            if output.endswith("/made_by"):
                files.write(ZOO / output, f"{settings}\n".encode())
    lock.record([stage for training in trainings.values() for stage in training.outdated])
