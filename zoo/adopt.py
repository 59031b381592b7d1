"""Keep results when the code that made them changes, but not the bytes that it gives.

A change to the training code makes every training outdated, although most changes (a comment, a
name, a faster way to the same numbers) leave all bytes as they are. To prove that takes minutes
where to train again takes hours. For each variant, the recorded code and the present code train
side by side: for two epochs, on a part of the data, with the variant's own settings and one seed.
If every output is the same, byte for byte, DVC's lock file gets the present code.

The recorded code is that of the commit from which `stages/compose.py` gives the settings file,
checksums of the code included, that the lock file has.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import math
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from zoo.project import ROOT, ZOO, Runs, dvc, make_data, opened, outdated, runs

if TYPE_CHECKING:
    from dvc.stage import PipelineStage

EPOCHS = 2
IMAGES = 1000  # to train on, and a few more: the last batch has the size that it has on all
VAL_IMAGES = 300
# What a result depends on beside settings, data and the project's own code.
LIBRARIES = ("torch", "torchvision", "numpy", "dvclive")


class Refused(Exception):
    """The recorded results can't be kept; the message says why."""


def adopt() -> int:
    """Record the present code where it gives the recorded bytes; return the exit status."""
    dvc("repro", "--quiet", "--single-item", "compose")
    with opened() as repo:
        left = _trainings(outdated(repo))
    if not left:
        print("zoo: every run has the present code")
        return 0
    make_data(left)
    refused: dict[str, str] = {}  # by run: the reason
    done: set[str] = set()
    with tempfile.TemporaryDirectory() as scratch, opened() as repo:
        present = _copy_of_working_tree(Path(scratch) / "present")
        left = _trainings(outdated(repo))
        for run, stages in left.items():
            if reason := _change_beside_code(stages):
                refused[run] = reason
        for recorded, found in _recorded_code(left, Path(scratch) / "recorded"):
            for variant, seeds in _by_variant(found, refused).items():
                start = time.monotonic()
                try:
                    _prove(recorded, present, seeds[0], left[seeds[0]])
                except Refused as error:
                    refused |= dict.fromkeys(seeds, str(error))
                    continue
                _record([stage for run in seeds for stage in left[run]])
                done.update(seeds)
                numbers = ", ".join(run.rpartition("-")[2] for run in seeds)
                seconds = time.monotonic() - start
                said = f"{variant}: all bytes are the same ({seconds:.0f} s)"
                print(f"{said}; adopted for seeds {numbers}", flush=True)
    for run in left:
        if run not in done:
            reason = refused.get(run, "no commit has the code that it was trained with")
            print(f"{run}: refused: {reason}")
    if done:
        dvc("repro", "--quiet", "--single-item", "compare")
    print(f"zoo: {len(done)} runs adopted, {len(left) - len(done)} refused")
    return 0 if len(done) == len(left) else 1


def _trainings(outdated_runs: Runs) -> Runs:
    """Return the trainings and evaluations among the outdated stages; the rest is cheap to run."""
    found = {
        run: [stage for stage in stages if stage.name.startswith(("train_", "evaluate_"))]
        for run, stages in outdated_runs.items()
    }
    return {run: stages for run, stages in found.items() if stages}


def _change_beside_code(stages: list[PipelineStage]) -> str:
    """Say what else than settings and code changed since the results were recorded, if anything."""
    for stage in stages:
        if not all(out.hash_info for out in stage.outs):
            return "it was never trained"
        for dep in stage.deps:
            if not dep.def_path.startswith(("settings/", "models/")) and dep.status():
                return f"its data changed: {dep.def_path}"
        for out in stage.outs:
            if out.exists and out.changed_checksum():
                return f"its result is not the recorded one: {out.def_path}"
    return ""


def _record(stages: list[PipelineStage]) -> None:
    """Write the present settings and code into the lock file; outputs that are missing stay."""
    with stages[0].repo.lock:
        for stage in stages:
            stage.save(allow_missing=True, run_cache=False)
            stage.commit(allow_missing=True)
        stages[0].dvcfile.dump_stages(stages, update_pipeline=False)


def _copy_of_working_tree(to: Path) -> Path:
    words = ["git", "ls-files", "-z", "-co", "--exclude-standard", "--", *_PATHS]
    listed = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True)
    for name in listed.stdout.split("\0"):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, to / name)
    _compose(to)
    return to


# What it takes to train: code, pipelines, settings, and the versions of the libraries.
_PATHS = ("src", "stages", "*.yaml", "requirements.txt", "zoo/.dvc")


def _recorded_code(outdated_runs: Runs, folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield each commit that has the recorded code of some runs, in `folder`, with these runs."""
    lock = yaml.safe_load((ZOO / "dvc.lock").read_bytes())["stages"]
    left = set(outdated_runs)
    commits = subprocess.run(
        ["git", "rev-list", "--max-count=100", "HEAD", "--", *_PATHS],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    for commit in commits:
        if not left:
            return
        shutil.rmtree(folder, ignore_errors=True)
        words = ["git", "archive", commit, "--", *_PATHS]
        archive = subprocess.run(words, cwd=ROOT, check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
        if not _compose(folder):
            continue
        found = [run for run in left if _has_recorded_settings(folder, lock, outdated_runs[run])]
        left -= set(found)
        if found:
            yield folder, found


def _compose(project: Path) -> bool:
    """Write the settings of each run in a copy of the project; tell whether that worked."""
    pipeline = project / "zoo" / "dvc.yaml"
    if not pipeline.exists():
        return False
    command = yaml.safe_load(pipeline.read_bytes())["stages"]["compose"]["cmd"]
    done = subprocess.run(
        command, shell=True, cwd=project / "zoo", env=_environment(project), capture_output=True
    )
    return done.returncode == 0


def _has_recorded_settings(
    project: Path, lock: dict[str, Any], stages: list[PipelineStage]
) -> bool:
    for stage in stages:
        for dep in lock[stage.name]["deps"]:
            if dep["path"].startswith("settings/"):
                path = project / "zoo" / dep["path"]
                if not path.exists() or _md5(path) != dep["md5"]:
                    return False
    return True


def _by_variant(found: list[str], refused: dict[str, str]) -> dict[str, list[str]]:
    variants: dict[str, list[str]] = {}
    for run in sorted(found):
        if run not in refused:
            variants.setdefault(run.rpartition("-")[0], []).append(run)
    return variants


def _prove(recorded: Path, present: Path, run: str, stages: list[PipelineStage]) -> None:
    """Train and evaluate a run with the code of both copies of the project, side by side.

    Raises:
        Refused: if an output differs, or the settings or the libraries do.
    """
    _compare_libraries(recorded)
    _compare_settings(recorded, present, run)
    data = next(
        dep.fs_path
        for dep in stages[0].deps
        if not dep.def_path.startswith(("settings/", "models/"))
    )
    for project in (recorded, present):
        batch_size = _shorten(project, run)
        _write_part(Path(data), project / Path(data).relative_to(ROOT), batch_size)
    with ThreadPoolExecutor(2) as pool:
        theirs, ours = pool.map(lambda project: _outputs(project, run), (recorded, present))
    differing = sorted(
        name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name)
    )
    if differing:
        raise Refused(f"the bytes differ: {', '.join(differing)}")


def _compare_libraries(recorded: Path) -> None:
    pinned = dict(
        re.findall(r"^([\w.-]+)==(\S+)", (recorded / "requirements.txt").read_text(), re.M)
    )
    for library in LIBRARIES:
        here = importlib.metadata.version(library).partition("+")[0]  # without "+cpu"
        if pinned.get(library, here) != here:
            raise Refused(f"trained with {library} {pinned[library]}; here is {here}")


def _compare_settings(recorded: Path, present: Path, run: str) -> None:
    """Refuse another value; a setting that only one of the two knows is left to the proof."""
    for stage in ("train", "evaluate"):
        path = f"zoo/settings/{stage}/{run}.yaml"
        theirs, ours = (
            {
                f"{group}.{key}": value
                for group, values in yaml.safe_load((project / path).read_bytes()).items()
                for key, value in values.items()
            }
            for project in (recorded, present)
        )
        for key in theirs.keys() & ours.keys():
            if theirs[key] != ours[key]:
                raise Refused(f"{key} was {theirs[key]}, now it is {ours[key]}")


def _shorten(project: Path, run: str) -> int:
    """Make the training of a run short, in its settings; return its batch size."""
    for stage in ("train", "evaluate"):
        path = project / "zoo" / "settings" / stage / f"{run}.yaml"
        settings = yaml.safe_load(path.read_bytes())
        settings["train"]["epochs"] = EPOCHS
        path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return int(settings["train"]["batch_size"])


def _write_part(data: Path, to: Path, batch_size: int) -> None:
    from cifar2.data import dataset

    for name in ("train", "val"):
        whole = dataset.load(data / f"{name}.pt")
        count = VAL_IMAGES
        if name == "train":
            count = math.ceil(IMAGES / batch_size) * batch_size + len(whole.labels) % batch_size
        part = whole._replace(
            images=whole.images[:count].clone(), labels=whole.labels[:count].clone()
        )
        dataset.save(part, to / f"{name}.pt")


def _outputs(project: Path, run: str) -> dict[str, bytes]:
    """Train and evaluate a run in a copy of the project; return the files that it leaves."""
    with opened(project / "zoo") as repo:
        stages = [s for s in runs(repo)[run] if s.name.startswith(("train_", "evaluate_"))]
    outputs: dict[str, bytes] = {}
    for stage in stages:
        done = subprocess.run(
            stage.cmd, shell=True, cwd=stage.wdir, env=_environment(project),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        if done.returncode:
            last = (done.stdout.splitlines() or ["it printed nothing"])[-1]
            raise Refused(f"the {project.name} code fails: {last}")
        for out in stage.outs:
            path = Path(out.fs_path)
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file():
                    outputs[file.relative_to(project / "zoo").as_posix()] = file.read_bytes()
    return outputs


def _environment(project: Path) -> dict[str, str]:
    """Return the environment of a stage's command; snapshots go into the copy of the project."""
    return os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "DVC_ROOT": str(project / "zoo"),
    }


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
