"""The zoo, shortened, in a clone: what runs, and what does not."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import compare
import confusion
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from cifar2 import UserError, params, plotting
from tests.conftest import ROOT, contents, copy_project, environment, run, write

STAGES = yaml.safe_load((ROOT / "zoo" / "dvc.yaml").read_text())["stages"]
SETTINGS = yaml.safe_load((ROOT / "zoo" / "params.yaml").read_text())
GROUPS = ("cheap", "dear", "ten")
SUMMARIES = ("compose", "confusion_ten", "compare")


def zoo(clone: Path, jobs: int = 2) -> list[str]:
    """Run it; return the stages that were run, without the settings and the summary."""
    said = run("python", "-m", "zoo", "--jobs", str(jobs), cwd=clone)
    logs = (clone / ".dvc" / "tmp" / "zoo").glob("*.log")
    texts = [said, *(log.read_text() for log in logs)]
    ran = re.findall(r"^Running stage 'zoo/dvc.yaml:(\w+@.*)':$", "\n".join(texts), re.MULTILINE)
    shutil.rmtree(clone / ".dvc" / "tmp" / "zoo", ignore_errors=True)
    return sorted(ran)


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


@pytest.mark.slow
def test_the_zoo_trains_what_changed_and_nothing_else(tmp_path: Path) -> None:
    clone = copy_project(tmp_path / "clone")
    shutil.rmtree(clone / "zoo" / "runs", ignore_errors=True)
    (clone / "zoo" / "dvc.lock").unlink(missing_ok=True)
    text = (clone / "params.yaml").read_text()
    text = text.replace("epochs: 100", "epochs: 1").replace("source: auto", "source: synthetic")
    (clone / "params.yaml").write_text(text)
    settings = SETTINGS | {
        "cheap": {
            "seeds": [1, 2],
            "variants": {key: SETTINGS["cheap"]["variants"][key] for key in ("baseline", "res")},
        },
        "dear": {
            "seeds": [1],
            "variants": {"deep": {"model": {"name": "netresdeep", "n_blocks": 2}}},
        },
        "ten": {  # with as many classes as the stand-in has
            "seeds": [1],
            "classes": ["bird", "airplane"],
            "variants": {"other": {"model": {"name": "net"}}},
        },
    }

    def write_settings() -> None:
        (clone / "zoo" / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))

    write_settings()
    cheap = ["baseline-1", "baseline-2", "res-1", "res-2"]
    everything = [f"{kind}@{name}" for kind in ("evaluate", "train") for name in cheap]
    everything += ["evaluate_dear@deep-1", "train_dear@deep-1"]
    everything += [f"{kind}_ten@other-1" for kind in ("confusion", "evaluate", "train")]
    assert zoo(clone) == sorted(everything)
    results = json.loads((clone / "zoo" / "results.json").read_text())
    assert list(results) == ["baseline", "res", "deep", "other"]
    pairs = (clone / "zoo" / "pairs.csv").read_text()
    assert "deep" in pairs and "other" not in pairs
    assert results["baseline"]["parameters"] == 18_090 and results["deep"]["epochs"] == 1
    assert results["deep"]["val"]["std"] is None
    seeds = results["res"]["val"]["seeds"]
    assert results["res"]["val"]["mean"] == pytest.approx(sum(seeds) / 2, abs=1e-6)
    assert "Data and pipelines are up to date" in run("dvc", "status", "zoo/dvc.yaml", cwd=clone)
    assert zoo(clone) == []

    # In a fresh clone, without a cache, results that are in Git are not made again.
    run("git", "add", "--all", cwd=clone)
    run("git", "commit", "--quiet", "--message=zoo", cwd=clone)
    fresh = tmp_path / "fresh"
    run("git", "clone", "--quiet", clone, fresh, cwd=tmp_path)
    assert zoo(fresh) == []
    assert run("git", "status", "--porcelain", cwd=fresh) == ""
    assert not (fresh / "data" / "raw").exists()

    # A default that no variant uses; then one network's file; then another variant.
    edit(clone / "params.yaml", "name: net\n", "name: vgg\n")
    edit(clone / "params.yaml", "dropout: 0.4", "dropout: 0.3")
    assert zoo(clone) == []
    edit(clone / "src/cifar2/models/netres.py", "def forward", "# a comment\n    def forward")
    res = [f"{kind}@res-{seed}" for kind in ("evaluate", "train") for seed in (1, 2)]
    assert zoo(clone) == res
    settings["cheap"]["variants"]["width"] = {"model": {"name": "netwidth"}}
    write_settings()
    new = [f"{kind}@width-{seed}" for kind in ("evaluate", "train") for seed in (1, 2)]
    assert zoo(clone) == new

    # The code of the data: made anew, and as they came out the same, nothing is trained.
    edit(clone / "stages" / "filter.py", "def main", "# a comment\ndef main")
    assert zoo(clone) == []
    assert "Data and pipelines are up to date" in run("dvc", "status", "filter", cwd=clone)

    # One of them, trained again from the start, has the committed bytes.
    shutil.rmtree(clone / ".dvc" / "tmp" / "snapshots")
    run("dvc", "repro", "--force", "--single-item", "zoo/dvc.yaml:train@baseline-2", cwd=clone)
    changed = run("git", "status", "--porcelain", "zoo/runs/baseline-2", cwd=clone)
    assert changed == ""


@pytest.mark.slow
def test_a_run_that_fails_is_named_and_the_others_go_on(clone: Path, tmp_path: Path) -> None:
    """At a learning rate of 1e9 the loss of a network with relu is not a number."""
    copy = tmp_path / "copy"
    shutil.copytree(clone, copy, symlinks=True)
    shutil.rmtree(copy / "zoo" / "runs", ignore_errors=True)
    (copy / "zoo" / "dvc.lock").unlink(missing_ok=True)
    settings = SETTINGS | {
        "cheap": {
            "seeds": [1],
            "variants": {
                "wild": {"model": {"name": "netdepth"}, "train": {"lr": 1e9}},
                "tame": {"model": {"name": "net"}},
            },
        },
        "dear": {"seeds": [], "variants": {}},
        "ten": SETTINGS["ten"] | {"seeds": []},
    }
    (copy / "zoo" / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    said = run("python", "-m", "zoo", cwd=copy, status=1)
    assert (copy / "zoo" / "results.json").exists()
    assert re.search(r"^zoo: wild-1: train: train\.lr: at 1e\+09 the loss became ", said, re.M), (
        said
    )
    assert (copy / "zoo" / "runs" / "tame-1" / "accuracy.json").exists()

    # A run that fails with other settings does not count with the accuracy that it had before.
    settings["cheap"]["variants"]["tame"] = settings["cheap"]["variants"].pop("wild")
    (copy / "zoo" / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    said = run("python", "-m", "zoo", cwd=copy, status=1)
    assert re.search(r"^zoo: tame-1: train: train\.lr: at 1e\+09 the loss became ", said, re.M)
    assert re.search(r"^compare: zoo/runs: has no run yet", said, re.M)


@pytest.mark.slow
def test_stopped_it_goes_on(clone: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(clone, tmp_path / "copy", symlinks=True)
    shutil.rmtree(copy / "zoo" / "runs")
    settings = SETTINGS | {
        "cheap": {
            "seeds": [1],
            "variants": {"long": {"model": {"name": "net"}, "train": {"epochs": 40}}},
        },
        "dear": {"seeds": [], "variants": {}},
        "ten": SETTINGS["ten"] | {"seeds": []},
    }
    (copy / "zoo" / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    command = [sys.executable, "-m", "zoo"]
    process = subprocess.Popen(
        command, cwd=copy, env=environment(), stderr=subprocess.PIPE, text=True,
        stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    log = copy / ".dvc" / "tmp" / "zoo" / "long-1.log"
    while not (log.exists() and "epoch 1/40" in log.read_text()):
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert said.splitlines()[-1] == "zoo: stopped; the same command goes on from there"
    stopped = re.search(r"stopped by SIGINT after epoch (\d+) of 40", log.read_text())
    assert stopped
    run(*command, cwd=copy)
    assert f"going on after epoch {stopped[1]} of 40" in log.read_text()


def test_no_job_is_too_few() -> None:
    said = run("python", "-m", "zoo", "--jobs", "0", cwd=ROOT, status=2)
    assert said.splitlines()[-1] == "zoo: error: --jobs: 0 is too few, at least 1"


def words(stage: str) -> list[str]:
    """Return the command that zoo/dvc.yaml has for a stage, or for the first seed of `baseline`."""
    command = STAGES[stage]["cmd"].replace("${key}", "baseline-1")
    python, script, *options = shlex.split(command)
    assert python == "python"
    return [sys.executable, str(ROOT / script), *options]


@pytest.fixture(scope="module")
def summed_up(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the settings of all runs, and a summary of two, each with its trace."""
    path = tmp_path_factory.mktemp("zoo")
    write(path / "params.yaml", train__epochs=1)
    (path / "zoo").mkdir()
    settings = {group: SETTINGS[group] | {"seeds": [1, 3]} for group in GROUPS}
    (path / "zoo" / "params.yaml").write_text(yaml.safe_dump(SETTINGS | settings, sort_keys=False))
    for name in ("baseline-1", "width-3"):
        run_folder = path / "zoo" / "runs" / name
        shutil.copytree(finished / "plots" / "training", run_folder / "training")
        shutil.copy(finished / "metrics" / "accuracy.json", run_folder)
        shutil.copy(finished / "plots" / "predictions.csv", run_folder)
    (path / "zoo" / "runs" / "width-1" / "training").mkdir(parents=True)  # under way
    for stage in SUMMARIES:
        python, *command = words(stage)
        run(python, ROOT / "tests" / "trace.py", path / f"{stage}.json", *command, cwd=path)
    return path


@pytest.mark.parametrize("stage", SUMMARIES)
def test_deps_are_what_a_stage_imports(stage: str, summed_up: Path) -> None:
    declared = {dep for dep in STAGES[stage]["deps"] if not dep.startswith("zoo/")}
    imports = json.loads((summed_up / f"{stage}.json").read_text())["imports"]
    folder = "src/cifar2/models"
    assert declared == {folder if name.startswith(folder) else name for name in imports}


def test_a_summary_of_what_is_there(summed_up: Path) -> None:
    folder = summed_up / "zoo"
    accuracy = json.loads((folder / "runs" / "width-3" / "accuracy.json").read_text())
    results = json.loads((folder / "results.json").read_text())
    assert list(results) == ["baseline", "width"]
    mean = accuracy["val"]["accuracy"]
    assert results["width"]["val"] == {"mean": mean, "std": None, "seeds": [mean]}
    assert results["width"]["parameters"] == 38_386
    pairs = (folder / "pairs.csv").read_text().splitlines()
    assert pairs[1] == "baseline,width,0.00000,0.00000,0.00000,false"  # they are the same run
    before = contents(folder)
    run(*words("compare"), cwd=summed_up)
    assert contents(folder) == before


def test_a_damaged_run_is_named(summed_up: Path, tmp_path: Path) -> None:
    shutil.copytree(summed_up, tmp_path, dirs_exist_ok=True)
    (tmp_path / "zoo" / "runs" / "baseline-1" / "predictions.csv").write_text("x\n1\n")
    said = run(*words("compare"), cwd=tmp_path, status=2)
    assert said == (
        "compare: zoo/runs/baseline-1: is damaged ('actual'); remove it, then `make zoo`\n"
    )


@pytest.mark.parametrize("key", ["dataset", "actual"])
def test_runs_on_other_data_are_not_compared(key: str, summed_up: Path, tmp_path: Path) -> None:
    shutil.copytree(summed_up, tmp_path, dirs_exist_ok=True)
    runs = tmp_path / "zoo" / "runs"
    other = shutil.copytree(runs / "width-3", runs / "width-1", dirs_exist_ok=True)
    if key == "dataset":
        edit(other / "accuracy.json", '"synthetic"', '"cifar10"')
    else:
        edit(other / "predictions.csv", "bird", "cat")
    said = run(*words("compare"), cwd=tmp_path, status=2)
    assert re.fullmatch(
        r"compare: zoo/runs/width-[13]: is not like the runs before it; `make zoo`\n", said
    )


@pytest.mark.parametrize("left", [None, "step\taccuracy\n"])
def test_a_run_that_is_not_trained_to_its_end_does_not_count(
    left: str | None, summed_up: Path, tmp_path: Path
) -> None:
    """Though it has an accuracy yet, of other settings, before they were changed."""
    shutil.copytree(summed_up, tmp_path, dirs_exist_ok=True)
    table = tmp_path / "zoo/runs/width-3/training/plots/metrics/train/accuracy.tsv"
    table.unlink()
    if left is not None:
        table.write_text(left)
    run(*words("compare"), cwd=tmp_path)
    assert list(json.loads((tmp_path / "zoo" / "results.json").read_text())) == ["baseline"]


def test_a_setting_that_is_not_read_changes_nothing(tmp_path: Path) -> None:
    """Another default of what a variant does not use leaves its settings as they are."""
    (tmp_path / "zoo").mkdir()
    shutil.copy(ROOT / "zoo" / "params.yaml", tmp_path / "zoo")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    run(*words("compose"), cwd=tmp_path)
    settings = tmp_path / "zoo" / "settings"

    def changed(key: str, value: str) -> set[str]:
        before = contents(settings)
        edit(tmp_path / "params.yaml", f"{key}: ", f"{key}: {value}  # not ")
        run(*words("compose"), cwd=tmp_path)
        after = contents(settings)
        return {name for name in before if "/" in name and before[name] != after[name]}

    every = {name for name in contents(settings) if "/" in name}

    def of(*names: str) -> set[str]:
        return {name for name in every if name.partition("/")[2].startswith(names)}

    evaluations = {name for name in every if name.startswith("evaluate/")}
    assert changed("n_blocks", "5") == of("res_deep")
    assert changed("mirror", "true") == evaluations - of("fast", "strong")
    # `strong` has a momentum of its own, the others no use for one: they train by Adam or AdamW.
    assert changed("momentum", "0.9") == every - of("fast", "strong", "vgg")


@pytest.mark.parametrize(
    ("variant", "words_said"),
    [
        ({"data": {"source": "cifar10"}}, "data: the zoo takes the data as it is"),
        (
            {"model": {"nmae": "net"}},
            "model.nmae: is no setting; did you mean 'name'? settings here: name, n_chans1, n_blo",
        ),
        ({"model": "net"}, "has no {group: {key: value}}"),
        (None, "has no {group: {key: value}}"),
    ],
)
def test_a_wrong_variant_is_named(variant: object, words_said: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "zoo").mkdir()
    settings = SETTINGS | {"cheap": {"seeds": [1], "variants": {"mine": variant}}}
    (tmp_path / "zoo" / "params.yaml").write_text(yaml.safe_dump(settings))
    said = run(*words("compose"), cwd=tmp_path, status=2)
    assert said.startswith(f"compose: zoo/params.yaml: mine: {words_said}")
    assert said.count("\n") == 1
    assert not (tmp_path / "zoo" / "settings").exists()


def test_a_run_s_settings_are_its_variant_s(summed_up: Path) -> None:
    settings = summed_up / "zoo" / "settings"
    for folder in ("train", "evaluate"):
        runs = {path.stem: params.load(path) for path in (settings / folder).iterdir()}
        assert len(runs) == 2 * sum(len(SETTINGS[group]["variants"]) for group in GROUPS)
        assert runs["strong-1"].evaluation.mirror == (folder == "evaluate")
    ten = params.load(settings / "ten.yaml").data
    assert runs["vgg_ten-1"].data == ten and len(ten.classes) == 10
    usual = params.load(summed_up / "params.yaml")
    run = runs["l2-3"]
    assert run.regularization.l2 == 0.001
    assert run.train == usual.train.model_copy(update={"seed": 3, "threads": 1})
    assert runs["res_deep_shared-3"].model.shared_blocks
    assert runs["res_deep_shared-3"].model.n_chans1 == usual.model.n_chans1


@pytest.mark.parametrize(
    ("stage", "key", "value", "words_said"),
    [
        ("compose", "all", None, "all: has no {group: {key: value}}"),
        ("compose", "ten", {"seeds": [], "variants": {}}, "ten: has no 'classes'"),
        ("compare", "book", {"width": {"val": 0.9}}, "book: wants {variant: {train: …, val: …}}"),
    ],
)
def test_what_is_wrong_beside_the_variants_is_named(
    stage: str, key: str, value: object, words_said: str, summed_up: Path, tmp_path: Path
) -> None:
    shutil.copytree(summed_up, tmp_path, dirs_exist_ok=True)
    before = contents(tmp_path / "zoo")
    wrong = yaml.safe_dump(SETTINGS | {key: value})
    (tmp_path / "zoo" / "params.yaml").write_text(wrong)
    said = run(*words(stage), cwd=tmp_path, status=2)
    assert said == f"{stage}: zoo/params.yaml: {words_said}\n"
    assert contents(tmp_path / "zoo") == before | {"params.yaml": wrong.encode()}


def test_the_table_in_the_readme_is_that_of_the_results() -> None:
    results = json.loads((ROOT / "zoo" / "results.json").read_text())
    text = (ROOT / "README.md").read_text()
    shown = text.split("<!-- zoo/table.md -->\n")[1].split("<!-- end -->")[0]
    assert shown == compare.rows(results, SETTINGS["book"]) == (ROOT / "zoo/table.md").read_text()


@pytest.mark.parametrize(
    ("stage", "main"),
    [
        ("filter_ten", "filter"),
        *(
            (f"{main}{group}", main)
            for main in ("train", "evaluate")
            for group in ("", "_dear", "_ten")
        ),
    ],
)
def test_deps_are_those_of_the_main_pipeline(stage: str, main: str) -> None:
    """But for the network's file, whose checksum stands in the settings."""
    deps = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][main]["deps"]
    code = {dep for dep in deps if dep.endswith(".py") and "${" not in dep}
    assert {dep for dep in STAGES[stage]["deps"] if dep.endswith(".py")} == code


def test_what_is_taken_for_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The picture counts the predictions; a class that nobody knows is named."""
    accuracy, predictions = tmp_path / "accuracy.json", tmp_path / "predictions.csv"
    scores = {"accuracy": 0.5, "per_class": {"bird": 0.5, "airplane": 0.5}}
    accuracy.write_text(json.dumps({"dataset": "cifar10", "model": "net", "val": scores}))
    rows = ["actual,predicted", "bird,bird", "bird,airplane", "bird,airplane", "airplane,airplane"]
    predictions.write_text("\n".join(rows))
    counted: list[object] = []

    def note(classes: list[str], counts: NDArray[np.int64], title: str) -> bytes:
        counted.extend([classes, counts.tolist(), title])
        return b"a picture"

    monkeypatch.setattr(plotting, "confusion", note)
    confusion.main(accuracy, predictions, tmp_path / "confusion.png")
    assert counted == [
        ["bird", "airplane"],
        [[1, 2], [0, 1]],
        "net on cifar10: val accuracy 0.5000",
    ]
    edit(predictions, "bird,bird", "bird,cat")
    reason = r"predictions\.csv: is damaged \('cat' is not in list\); remove it, then `make zoo`"
    with pytest.raises(UserError, match=reason):
        confusion.main(accuracy, predictions, tmp_path / "confusion.png")
