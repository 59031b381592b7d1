"""Keep results when the code that made them changes, but not the bytes that it gives.

A change to the training code makes every training outdated, although most changes (a comment, a
name, a faster way to the same numbers) leave all bytes as they are. To prove that takes minutes
where to train again takes hours. For each variant, the recorded code and the present code train
side by side: for two epochs, on a part of the data, with the variant's own settings and one seed.
If every output is the same, byte for byte, DVC's lock file gets the present code. The network of
the main pipeline counts as one more variant.

The recorded code is that of the latest commit that agrees with the lock file in all but data and
results.
"""

from __future__ import annotations

import importlib.metadata
import io
import math
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from zoo.project import ROOT, changed, compose, dvc, make_data, opened, record, runs
from zoo.work import Failed, Files, call, files_of

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import PipelineStage

EPOCHS = 2
IMAGES = 1000  # to train on, and a few more: a last batch has the size that it has on all images
VAL_IMAGES = 300
# What a result depends on beside settings, data and the project's own code.
LIBRARIES = ("torch", "torchvision", "numpy", "dvclive")
# What it takes to train: code, pipelines, settings, and the versions of the libraries.
PATHS = ("src", "stages", "*.yaml", "requirements.txt", ".dvc", ".dvcignore", "zoo/.dvc")
LOCKS = ("dvc.lock", "zoo/dvc.lock")
MAIN = "main pipeline"
PROVED = ("train", "evaluate", "calibration", "neither")  # the stages that take the network itself


class Refused(Exception):
    """The recorded results can't be kept; the message says why."""


class Training(NamedTuple):
    """A training and the stages that ask its network, of which at least one is outdated."""

    folder: str  # of the DVC project, from the root
    settings: list[str]  # files, from the root
    stages: list[PipelineStage]  # all of these
    outdated: list[PipelineStage]


Trainings = dict[str, Training]  # by run of the zoo, or MAIN


def adopt() -> int:
    """Record the present code where it gives the recorded bytes; return the exit status."""
    compose()
    with opened(ROOT) as main, opened() as zoo:
        left = _outdated_trainings(main, zoo)
    if not left:
        print("zoo: every training has the present code")
        return 0
    make_data(stage for training in left.values() for stage in training.stages)
    refused: dict[str, str] = {}  # by training: the reason
    done: set[str] = set()
    with tempfile.TemporaryDirectory() as scratch, opened(ROOT) as main, opened() as zoo:
        present = _copy_of_working_tree(Path(scratch) / "present")
        left = _outdated_trainings(main, zoo)
        for name, training in left.items():
            if reason := _change_beside_code(training):
                refused[name] = reason
        for recorded, names in _recorded_code(left, Path(scratch) / "recorded"):
            for variant, seeds in _by_variant(names, refused).items():
                start = time.monotonic()
                try:
                    _prove(recorded, present, left[seeds[0]])
                except Refused as error:
                    refused |= dict.fromkeys(seeds, str(error))
                    continue
                record(
                    [stage for name in seeds for stage in left[name].outdated], allow_missing=True
                )
                done.update(seeds)
                seconds = time.monotonic() - start
                adopted = "" if variant == MAIN else f" for seeds {_numbers(seeds)}"
                said = f"{variant}: all bytes are the same ({seconds:.0f} s)"
                print(f"{said}; adopted{adopted}", flush=True)
    for name in left:
        if name not in done:
            reason = refused.get(name, "no commit has the code that it was trained with")
            print(f"{name}: refused: {reason}")
    if done - {MAIN}:
        dvc("repro", "--quiet", "--single-item", "compare", "compare_trials")
    print(f"zoo: {len(done)} trainings adopted, {len(left) - len(done)} refused")
    return 0 if len(done) == len(left) else 1


def _outdated_trainings(main: Repo, zoo: Repo) -> Trainings:
    """Return the trainings and evaluations that are outdated; other stages are cheap to run."""
    pipeline = {stage.name: stage for stage in main.index.stages}
    found = {MAIN: (".", ["params.yaml"], [pipeline[name] for name in PROVED])}
    for run, stages in runs(zoo).items():
        settings = [f"zoo/settings/{stage}/{run}.yaml" for stage in ("train", "evaluate")]
        proved = [stage for stage in stages if stage.name.startswith(PROVED)]
        found[run] = ("zoo", settings, proved)
    trainings = {name: Training(*parts, changed(parts[-1])) for name, parts in found.items()}
    return {name: training for name, training in trainings.items() if training.outdated}


def _change_beside_code(training: Training) -> str:
    """Say what else than settings and code changed since the results were recorded, if anything."""
    for stage in training.outdated:
        if not all(out.hash_info for out in stage.outs):
            return "it was never trained"
        for dep in stage.deps:
            if _is_data(dep.def_path) and dep.status():
                return f"its data changed: {dep.def_path}"
        for out in stage.outs:
            if not out.exists and not out.use_cache:
                return f"its result is missing: {out.def_path}"
            if out.exists and out.changed_checksum():
                return f"its result is not the recorded one: {out.def_path}"
    return ""


def _is_data(path: str) -> bool:
    return path.startswith(("data/", "../data/"))


def _copy_of_working_tree(to: Path) -> Path:
    words = ["git", "ls-files", "-z", "-co", "--exclude-standard", "--", *PATHS]
    listed = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, encoding="utf-8")
    _copy_files(listed.stdout.split("\0"), to)
    _compose(to)
    return to


def _copy_files(names: Iterable[str], to: Path) -> None:
    for name in names:
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, to / name)


def _recorded_code(trainings: Trainings, folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield each commit that has the recorded code of some trainings, in `folder`, with these."""
    left = dict(trainings)
    commits = subprocess.run(
        ["git", "rev-list", "--max-count=100", "HEAD", "--", *PATHS],
        cwd=ROOT, check=True, capture_output=True, encoding="utf-8",
    ).stdout.split()  # fmt: skip
    for commit in commits:
        if not left:
            return
        shutil.rmtree(folder, ignore_errors=True)
        archive = subprocess.run(
            ["git", "archive", commit, "--", *PATHS], cwd=ROOT, capture_output=True
        )
        if archive.returncode:  # the zoo was no DVC project yet
            return
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
            tar.extractall(folder, filter="data")
        if not _compose(folder):
            continue
        _copy_files(LOCKS, folder)
        names = _with_recorded_code(folder, left)
        left = {name: training for name, training in left.items() if name not in names}
        if names:
            yield folder, names


def _compose(project: Path) -> bool:
    """Write the settings of each run in a copy of the project; tell whether that worked."""
    pipeline = project / "zoo" / "dvc.yaml"
    command = yaml.safe_load(pipeline.read_bytes())["stages"]["compose"]["cmd"]
    try:
        call("compose", command, pipeline.parent, project / "log")
    except Failed:
        return False
    return True


def _with_recorded_code(project: Path, trainings: Trainings) -> list[str]:
    """Return the trainings for which a copy of the project agrees with the lock file."""
    found = []
    for folder in (".", "zoo"):
        with opened(project / folder) as repo:
            stages = {stage.name: stage for stage in repo.index.stages}
            found += [
                name
                for name, training in trainings.items()
                if training.folder == folder
                and all(_is_as_recorded(stages.get(stage.name)) for stage in training.outdated)
            ]
    return found


def _is_as_recorded(stage: PipelineStage | None) -> bool:
    """Tell whether all but data and results is as the lock file beside the stage has it."""
    if stage is None or stage.changed_stage():
        return False
    return not any(
        dep.status()
        for dep in stage.deps
        if not _is_data(dep.def_path) and not dep.def_path.startswith("models/")
    )


def _by_variant(names: list[str], refused: dict[str, str]) -> dict[str, list[str]]:
    variants: dict[str, list[str]] = {}
    for name in names:
        if name not in refused:
            variants.setdefault(name.rpartition("-")[0] or name, []).append(name)
    return variants


def _numbers(runs: list[str]) -> str:
    return ", ".join(run.rpartition("-")[2] for run in runs)


def _prove(recorded: Path, present: Path, training: Training) -> None:
    """Train and evaluate with the code of both copies of the project.

    Raises:
        Refused: if an output differs, or the settings or the libraries do.
    """
    _compare_libraries(recorded)
    for path in training.settings:
        _compare_settings(_read(recorded / path), _read(present / path))
    deps = [dep for stage in training.stages for dep in stage.deps]
    data = {Path(dep.fs_path) for dep in deps if _is_data(dep.def_path)}
    for project in (recorded, present):
        for path in training.settings:
            settings = _read(project / path)
            settings["train"]["epochs"] = EPOCHS
            (project / path).write_bytes(yaml.safe_dump(settings, sort_keys=False).encode())
        for each in data:
            _write_part(each, project / each.relative_to(ROOT), settings["train"]["batch_size"])
    # DVC's API can't be used in two threads at once, so the stages are read before.
    stages = [_stages_of(project, training) for project in (recorded, present)]
    # Two trainings of more than one thread would wait for each other's threads.
    with ThreadPoolExecutor(2 if settings["train"]["threads"] == 1 else 1) as pool:
        theirs, ours = pool.map(_outputs, (recorded, present), stages)
    differing = sorted(
        name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name)
    )
    if differing:
        raise Refused(f"the bytes differ: {', '.join(differing)}")


def _read(settings: Path) -> dict[str, dict[str, Any]]:
    content: dict[str, dict[str, Any]] = yaml.safe_load(settings.read_bytes())
    return content


def _compare_libraries(recorded: Path) -> None:
    text = (recorded / "requirements.txt").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.M))
    for library in LIBRARIES:
        here = importlib.metadata.version(library).partition("+")[0]  # without "+cpu"
        if pinned.get(library, here) != here:
            raise Refused(f"trained with {library} {pinned[library]}; here is {here}")


def _compare_settings(recorded: dict[str, Any], present: dict[str, Any]) -> None:
    """Refuse another value; a setting that only one of the two knows is left to the proof."""
    theirs, ours = (
        {(group, key): value for group in settings for key, value in settings[group].items()}
        for settings in (recorded, present)
    )
    for group, key in sorted(theirs.keys() & ours.keys()):
        before, now = theirs[group, key], ours[group, key]
        if before != now:
            raise Refused(f"{group}.{key} was {before}, now it is {now}")


def _write_part(data: Path, to: Path, batch_size: int) -> None:
    from cifar2.data import dataset

    for path in data.glob("*.pt") if data.is_dir() else [data]:
        whole = dataset.load(path)
        count = VAL_IMAGES
        if path.name == "train.pt":
            count = math.ceil(IMAGES / batch_size) * batch_size + len(whole.labels) % batch_size
        part = whole._replace(
            images=whole.images[:count].clone(), labels=whole.labels[:count].clone()
        )
        dataset.save(part, to / path.relative_to(data))


def _stages_of(project: Path, training: Training) -> list[PipelineStage]:
    """Return the stages of a training as a copy of the project has them."""
    with opened(project / training.folder) as repo:
        stages = {stage.name: stage for stage in repo.index.stages}
        return [stages[stage.name] for stage in training.stages]


def _outputs(project: Path, stages: list[PipelineStage]) -> Files:
    """Run stages in a copy of the project; return the files that they leave."""
    outputs: Files = {}
    for stage in stages:
        folder = Path(stage.wdir)
        try:
            call(stage.name, stage.cmd, folder, project / "log")
            outputs |= files_of(folder, [out.def_path for out in stage.outs])
        except Failed as error:
            raise Refused(f"the {project.name} code fails: {error}") from error
    return outputs
