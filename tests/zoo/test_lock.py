"""What the zoo makes of a small DVC project: what there is to do, and what is recorded."""

import shutil
from pathlib import Path

import dvc.dvcfile
import pytest
import yaml

from cifar2.errors import UserError
from tests.conftest import run
from zoo import train
from zoo.lock import change_beside_code, opened, outdated, record, reproduce, runs, tasks
from zoo.run import Ended, Progress

COPY = "python -c \"import shutil; shutil.copy('{}-${{item.seed}}', '{}-${{item.seed}}')\""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a project with two runs of three stages, each of which copies a file, all done."""
    folder = tmp_path_factory.mktemp("project")
    chain = ("settings", "model", "accuracy", "picture")
    stages = {}
    for stage, source, target in zip(("train", "evaluate", "draw"), chain, chain[1:], strict=False):
        stages[stage] = {
            "matrix": {"seed": [1, 2]},
            "cmd": COPY.format(source, target),
            "deps": [f"{source}-${{item.seed}}"],
            "outs": [{f"{target}-${{item.seed}}": {"cache": stage == "train"}}],
        }
    stages["evaluate"]["deps"] = ["model-${item.seed}", "mirror"]
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    for name in ("settings-1", "settings-2", "mirror"):
        (folder / name).write_text("1")
    run("dvc", "init", "--quiet", "--no-scm", cwd=folder)
    run("dvc", "repro", cwd=folder)
    return folder


@pytest.fixture
def project(done: Path, tmp_path: Path) -> Path:
    return shutil.copytree(done, tmp_path / "project")


def to_do(project: Path) -> dict[str, list[str]]:
    """Return the stages to run again, by run."""
    with opened(project) as repo:
        wanted = tasks(runs(repo), outdated(repo))
    return {task.name: [stage for stage, _ in task.commands] for task in wanted}


def test_with_a_stage_those_are_run_that_read_what_it_writes(project: Path) -> None:
    assert to_do(project) == {}
    (project / "settings-1").write_text("2")
    assert to_do(project) == {"1": ["train@1", "evaluate@1", "draw@1"]}
    (project / "settings-1").write_text("1")
    (project / "mirror").write_text("2")
    assert to_do(project) == {seed: [f"evaluate@{seed}", f"draw@{seed}"] for seed in ("1", "2")}


def test_what_is_missing_or_another(project: Path) -> None:
    """A missing result is made again and not adopted; a missing checkpoint is neither."""
    for name in ("model-1", "model-2", "accuracy-2"):
        (project / name).unlink()
    assert to_do(project) == {"2": ["evaluate@2", "draw@2"]}

    def reasons() -> list[str]:
        with opened(project) as repo:
            return [change_beside_code(stages) for stages in runs(repo).values()]

    assert reasons() == ["", "its result is missing: accuracy-2"]
    (project / "accuracy-1").write_text("2")
    assert reasons()[0] == "its result is not the recorded one: accuracy-1"
    shutil.rmtree(project / ".dvc" / "cache")
    (project / "model-1").write_text("2")  # another checkpoint, and the recorded one is lost
    assert to_do(project)["1"] == ["train@1", "evaluate@1", "draw@1"]


def test_lock_file_is_whole_although_its_writing_was_stopped(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (project / "dvc.lock").read_text()
    dump = dvc.dvcfile.Lockfile.dump_stages

    def stopped(lock: dvc.dvcfile.Lockfile, stages: object) -> None:
        dump(lock, stages)
        content = Path(lock.path).read_text()
        Path(lock.path).write_text(content[: content.index("  evaluate@2:")])
        raise KeyboardInterrupt

    for name in ("settings-1", "model-1"):
        (project / name).write_text("2")
    with opened(project) as repo:
        (stage,) = [stage for stage in repo.index.stages if stage.name == "train@1"]
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(dvc.dvcfile.Lockfile, "dump_stages", stopped)
            record([stage])
        assert (project / "dvc.lock").read_text() == whole
        record([stage])
    assert len((project / "dvc.lock").read_text()) == len(whole)
    assert to_do(project) == {"1": ["evaluate@1", "draw@1"]}


def test_another_command_that_holds_the_lock_of_dvc_is_named_in_one_line(project: Path) -> None:
    with opened(project) as repo, repo.lock, pytest.raises(UserError) as refused:
        reproduce(project, ["train@1"], wait=False)
    assert str(refused.value).startswith(f"DVC in {project}: Unable to acquire lock. ")


# What `train` does with what executors yield. No process runs here.


@pytest.fixture
def changed(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the project with new settings for both runs, as the zoo that `train` keeps files in."""
    for name in ("settings-1", "settings-2"):
        (project / name).write_text("2")
    monkeypatch.setattr(train, "ZOO", project)
    monkeypatch.setattr(train, "SCRATCH", project / "scratch")
    return project


def do_all(project: Path, progress: Progress) -> dict[str, str]:
    with opened(project) as repo:
        return train._do_all(repo, tasks(runs(repo), outdated(repo)), progress, 0)


def ended(seed: int) -> Ended:
    return Ended(str(seed), {f"{name}-{seed}": b"2" for name in ("model", "accuracy", "picture")})


def test_a_run_that_could_not_be_recorded_is_named(changed: Path) -> None:
    def progress() -> Progress:
        (changed / "settings-2").write_text("3")  # after the run read it
        yield [ended(1), ended(2)], []

    reason = "done, but not recorded, because settings-2 changed meanwhile"
    assert do_all(changed, progress()) == {"2": reason}
    assert list(to_do(changed)) == ["2"]


def test_what_ended_before_a_stop_is_recorded(changed: Path) -> None:
    def progress() -> Progress:
        yield [ended(1)], []
        yield [ended(2)], []  # too soon after the last recording
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        do_all(changed, progress())
    assert to_do(changed) == {}
