"""What the zoo makes of a small DVC project: what there is to do, and what is recorded."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import dvc.dvcfile
import pytest
import yaml

from tests.conftest import run
from zoo import lock, train
from zoo.lock import change_beside_code, opened, outdated, record, runs, tasks
from zoo.run import Ended

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


def test_a_missing_result_is_made_again_and_a_missing_checkpoint_is_not(project: Path) -> None:
    (project / "model-1").unlink()
    (project / "model-2").unlink()
    (project / "accuracy-2").unlink()
    assert to_do(project) == {"2": ["evaluate@2", "draw@2"]}


def test_a_run_whose_result_is_missing_or_another_is_not_adopted(project: Path) -> None:
    (project / "model-1").unlink()
    (project / "accuracy-2").unlink()
    with opened(project) as repo:
        reasons = [change_beside_code(stages) for stages in runs(repo).values()]
    assert reasons == ["", "its result is missing: accuracy-2"]
    (project / "accuracy-1").write_text("2")
    with opened(project) as repo:
        reason = change_beside_code(runs(repo)["1"])
    assert reason == "its result is not the recorded one: accuracy-1"


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


# What `train` does with what executors yield. No process runs here.


@pytest.fixture
def changed(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the project with new settings for both runs, as the zoo that `train` keeps files in."""
    for name in ("settings-1", "settings-2"):
        (project / name).write_text("2")
    monkeypatch.setattr(train, "ZOO", project)
    monkeypatch.setattr(train, "SCRATCH", project / "scratch")
    return project


def ended(seed: int) -> Ended:
    return Ended(str(seed), {f"{name}-{seed}": b"2" for name in ("model", "accuracy", "picture")})


def do_all(project: Path, progress: Iterator[tuple[list[Ended], list[str]]]) -> dict[str, str]:
    with opened(project) as repo:
        todo = tasks(runs(repo), outdated(repo))
        assert len(todo) == 2
        return train._do_all(repo, todo, (each for each in progress), 0)


def test_a_run_that_could_not_be_recorded_is_named(changed: Path) -> None:
    def progress() -> Iterator[tuple[list[Ended], list[str]]]:
        (changed / "settings-2").write_text("3")  # after the run read it
        yield [ended(1), ended(2)], []

    reason = "done, but not recorded, because settings-2 changed meanwhile"
    assert do_all(changed, progress()) == {"2": reason}
    assert list(to_do(changed)) == ["2"]


def test_what_ended_before_a_stop_is_recorded(
    changed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[int] = []

    def counted(stages: list[lock.Stage]) -> None:
        recorded.append(len(stages))
        record(stages)

    monkeypatch.setattr(lock, "record", counted)

    def progress() -> Iterator[tuple[list[Ended], list[str]]]:
        yield [ended(1)], []
        yield [ended(2)], []  # too soon after the last recording
        assert recorded == [3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        do_all(changed, progress())
    assert recorded == [3, 3]
    assert to_do(changed) == {}
