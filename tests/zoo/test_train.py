"""`python -m zoo train` on a small zoo: what runs, what does not, what is kept and compared."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from cifar2 import PLUMBING
from tests.conftest import ROOT, contents, edit, environment, run, wait_for
from tests.zoo.conftest import add_comment, commit, runs_done, train, variant, write_zoo
from zoo import lock
from zoo.__main__ import main

pytestmark = pytest.mark.slow
WILD = variant("netdepth", train={"lr": 1e9})  # its loss becomes infinite


def outdated(clone: Path) -> list[str]:
    """Return the runs that `python -m zoo train` would do."""
    code = "from zoo import lock; lock.compose()\nwith lock.opened() as z: print(*lock.outdated(z))"
    return run("python", "-c", code, cwd=clone).split()


def git_status(clone: Path) -> list[str]:
    return sorted(line[3:] for line in run("git", "status", "--short", cwd=clone).splitlines())


def test_results_are_of_every_variant_and_pairs_of_those_on_the_same_images(trained: Path) -> None:
    folder = trained / "zoo"
    results = json.loads((folder / "results.json").read_text())
    assert list(results) == ["baseline", "res", "other"]
    assert results["baseline"]["parameters"] == 18_090 and results["baseline"]["epochs"] == 1
    assert results["baseline"]["val"]["std"] is None
    seeds = results["res"]["val"]["seeds"]
    assert results["res"]["val"]["mean"] == pytest.approx(sum(seeds) / 2, abs=1e-6)
    pairs = (folder / "pairs.csv").read_text()
    assert "res" in pairs and "other" not in pairs
    assert (folder / "trials.csv").read_text().splitlines()[1].startswith("try,1,")
    assert (folder / "runs/other-1/confusion.png").exists() and (folder / "cards/res.md").exists()
    assert [path.parent.name for path in folder.glob("runs/*/neither.csv")] == ["res-1"]


def test_a_fresh_clone_is_up_to_date_without_data_and_checkpoints(
    trained: Path, tmp_path: Path
) -> None:
    fresh = tmp_path / "fresh"
    run("git", "clone", "--quiet", trained, fresh, cwd=tmp_path)
    assert train(fresh) == "5 of 5 runs are up to date\n"
    assert git_status(fresh) == []
    assert not (fresh / "data" / "raw").exists()


def test_only_the_runs_that_use_what_changed_are_outdated(zoo: Path) -> None:
    def outdated_now() -> list[str]:
        found = outdated(zoo)
        run("git", "checkout", "--quiet", ".", cwd=zoo)
        return found

    edit(zoo / "params.yaml", "name: net\n", "name: vgg\n")
    edit(zoo / "params.yaml", "dropout: 0.4", "dropout: 0.3")
    for name in PLUMBING:
        path = zoo / ("stages" if name.startswith("_") else "src") / name.replace(".", "/")
        add_comment(path / "__init__.py" if path.is_dir() else path.with_suffix(".py"))
    add_comment(zoo / "stages" / "filter.py")
    assert outdated_now() == []
    edit(zoo / "params.yaml", "n_chans1: 32", "n_chans1: 8")
    assert sorted(outdated_now()) == ["res-1", "res-2", "try-1"]
    settings = yaml.safe_load((zoo / "zoo" / "params.yaml").read_text())
    settings["middle"]["variants"]["wide"] = variant("netwidth")
    (zoo / "zoo" / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    assert sorted(outdated_now()) == ["wide-1", "wide-2"]


def test_what_is_trained_again_has_the_committed_bytes(zoo: Path) -> None:
    """Comments in a network and in the data code make its run and the data again."""
    add_comment(zoo / "src/cifar2/models/netdepth.py")
    add_comment(zoo / "stages/filter.py")
    shutil.rmtree(zoo / "zoo/.dvc/tmp/snapshots")
    train(zoo)
    assert runs_done(zoo) == ["try-1"]
    edited = ["src/cifar2/models/netdepth.py", "stages/filter.py"]
    signed = "zoo/runs/try-1/made_by"
    assert git_status(zoo) == sorted(["dvc.lock", "zoo/dvc.lock", *edited, signed])
    assert train(zoo) == "5 of 5 runs are up to date\n"


def test_checkpoints_and_results_come_back_from_the_cache_and_a_remote(
    zoo: Path, tmp_path: Path
) -> None:
    checkpoints = contents(zoo / "zoo" / "models")
    for name in ("models", "runs"):
        shutil.rmtree(zoo / "zoo" / name)
    said = run("dvc", "repro", cwd=zoo / "zoo")
    assert "Running stage 'compose'" in said
    assert not re.search(r"Running stage '(train|evaluate)", said), said
    assert contents(zoo / "zoo" / "models") == checkpoints
    assert git_status(zoo) == []
    run("dvc", "remote", "add", "--default", "shared", tmp_path / "remote", cwd=zoo / "zoo")
    commit(zoo)
    run("dvc", "push", cwd=zoo / "zoo")
    run("git", "clone", "--quiet", zoo, tmp_path / "fresh", cwd=tmp_path)
    run("dvc", "pull", cwd=tmp_path / "fresh" / "zoo")
    assert contents(tmp_path / "fresh" / "zoo" / "models") == checkpoints


def test_a_run_that_fails_is_named_and_its_former_results_stay_and_do_not_count(
    zoo: Path,
) -> None:
    before = contents(zoo / "zoo" / "runs")
    settings = yaml.safe_load((zoo / "zoo" / "params.yaml").read_text())
    settings["quick"]["variants"]["baseline"] = WILD
    (zoo / "zoo" / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    said = train(zoo, status=1)
    failed = r"^zoo: baseline-1: train: train\.lr: at 1e\+09 the loss became .* \(log: .*\.log\)$"
    assert re.search(failed, said, re.MULTILINE), said
    assert "\n5 of 5 runs done, 1 of them failed; running: none\n" in said
    assert contents(zoo / "zoo" / "runs") == before
    assert list(json.loads((zoo / "zoo" / "results.json").read_text())) == ["res", "other"]


@pytest.mark.parametrize("with_a_failure", [False, True])
def test_trials_are_compared_without_other_variants(with_a_failure: bool, zoo: Path) -> None:
    trials = {"holdout": 0.2, "seeds": [1], "variants": {"try": variant("netdepth")}}
    quick = {"seeds": [1], "variants": {"wild": WILD} if with_a_failure else {}}
    write_zoo(zoo, quick=quick, trials=trials)
    (zoo / "zoo" / "trials.csv").unlink()
    said = train(zoo, status=1 if with_a_failure else 0)
    assert ("compare: no run is finished yet" in said) == with_a_failure
    assert (zoo / "zoo" / "trials.csv").read_text().splitlines()[1].startswith("try,1,")


def test_a_stopped_zoo_continues_and_edits_meanwhile_change_nothing(zoo: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("a process can't send Ctrl-C there")
    long = variant("net", train={"epochs": 60})
    write_zoo(zoo, quick={"seeds": [1], "variants": {"long": long}})
    log = zoo / "zoo" / ".dvc" / "tmp" / "zoo" / "long-1.log"

    def start(until: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "zoo", "train"], cwd=zoo, env=environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        wait_for(lambda: (log.exists() and until in log.read_text()) or process.poll() is not None)
        assert process.poll() is None
        return process

    process = start("epoch 1/60")
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert said.splitlines()[-1] == "zoo: stopped; the same command continues from there"
    stopped = re.search(r"stopped by SIGINT after epoch (\d+) of 60", log.read_text())
    assert stopped
    process = start(f"continuing after epoch {stopped[1]} of 60")
    for name in ("stages/train.py", "stages/evaluate.py", "src/cifar2/inference/evaluation.py"):
        (zoo / name).write_text("raise ValueError")
    said, _ = process.communicate(timeout=60)
    assert "\n1 of 1 runs done, 0 of them failed; running: none\n" in said
    assert process.returncode == 0, said


def test_no_code_is_an_input_of_a_run() -> None:
    """All code of a run comes from the copy; the settings of the run have its checksums."""
    stages = yaml.safe_load((ROOT / "zoo" / "dvc.yaml").read_text())["stages"]
    deps = {name: stages[name]["deps"] for name in stages if re.match("train|evaluate", name)}
    assert len(deps) == 11
    assert not [name for name, each in deps.items() if re.search(r"\.py|src|stages", str(each))]


@pytest.mark.parametrize("words", [["train"], ["adopt"]])
def test_a_second_command_in_the_same_clone_is_refused(words: Sequence[str]) -> None:
    with lock.alone(), pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == "zoo: another command trains or adopts the zoo of this clone"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("--verify 1", "--verify: it takes a cluster, --cluster ADDRESS"),
        ("--jobs 0", "--jobs: 0 is not allowed, at least 1"),
        ("--cluster auto --verify -1", "--verify: -1 is not allowed, at least 0"),
    ],
)
def test_wrong_options_are_refused(
    words: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["train", *words.split()])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"zoo: error: {reason}"


CONFLICT = "stages:\n<<<<<<< HEAD\n  a: 1\n=======\n  a: 2\n>>>>>>> other\n"


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("train", "zoo/dvc.lock"),
        ("train", "zoo/dvc.yaml"),
        ("train", "zoo/params.yaml"),
        ("train", "params.yaml"),
        ("train", "dvc.yaml"),
        ("adopt", "zoo/dvc.lock"),
        ("adopt", "dvc.lock"),
    ],
)
def test_a_merge_conflict_is_named_in_one_line(command: str, name: str, zoo: Path) -> None:
    (zoo / name).write_text(CONFLICT)
    said = run("python", "-m", "zoo", command, cwd=zoo, status=1)
    folder = (zoo / name).parent
    by_dvc = (
        rf"DVC in {folder}: unable to read: '{Path(name).name}', .* \(possible merge conflicts\)"
    )
    by_us = rf"{zoo / name}: not valid YAML: line 3: .*"
    assert re.fullmatch(rf"zoo: ({by_dvc}|{by_us})\n", said), said


def test_another_process_that_holds_the_lock_of_dvc_is_named_in_one_line(zoo: Path) -> None:
    with lock.opened(zoo / "zoo") as repo, repo.lock:
        said = train(zoo, status=1)
    assert re.fullmatch(r"zoo: DVC in \S+: Unable to acquire lock\. .*\n", said), said
