"""`python -m zoo adopt`: changed code is recorded where it gives the same bytes, else refused."""

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import edit, run
from tests.zoo.conftest import (
    OTHER,
    RES,
    TRIALS,
    add_comment,
    commit,
    locked,
    train,
    variant,
    write_zoo,
)
from zoo.adopt import Refused, _compare_libraries

LOOP = "src/cifar2/training/loop.py"


def adopt(clone: Path, status: int = 0) -> str:
    return run("python", "-m", "zoo", "adopt", cwd=clone, status=status)


@pytest.fixture
def one_variant(zoo: Path) -> Path:
    """Give a zoo with `res` alone."""
    write_zoo(zoo, middle=RES, asked_about_others=["res-1"])
    commit(zoo)
    return zoo


@pytest.mark.slow
def test_a_change_that_keeps_the_bytes_is_recorded(one_variant: Path) -> None:
    """A new setting that is off: for all seeds, without checkpoints, although it is committed."""
    clone = one_variant
    before = locked(clone)
    shutil.rmtree(clone / "zoo" / "models")  # as in a fresh clone
    edit(clone / "params.yaml", "evaluation:\n", "  noise: 0.0  # a new setting\nevaluation:\n")
    field = "    crop: Annotated"
    edit(clone / "src/cifar2/params.py", field, f"    noise: Float\n{field}")
    add_comment(clone / LOOP)
    commit(clone)
    add_comment(clone / "README.md")
    commit(clone)
    said = adopt(clone)
    assert re.search(r"^res: all bytes are the same \(\d+ s\); 2 adopted$", said, re.MULTILINE)
    assert said.splitlines()[-1] == "zoo: 2 trainings adopted, 0 refused"
    results = ("zoo/dvc.lock", "models", "metrics", "plots", "zoo/runs")
    signed = [f"zoo/runs/{name}/made_by" for name in ("res-1", "res-2")]
    changed = run("git", "diff", "--name-only", "HEAD", "--", *results, cwd=clone).split()
    assert changed == ["zoo/dvc.lock", *signed]
    assert train(clone).startswith("2 of 2 runs are up to date\n")
    for name, stage in locked(clone).items():
        kept = [out for out in stage["outs"] if not out["path"].endswith("made_by")]
        assert kept == [out for out in before[name]["outs"] if out in kept]
    assert adopt(clone) == "zoo: every training has the present code\n"


@pytest.mark.slow
def test_other_bytes_other_settings_and_code_that_fails_are_refused(zoo: Path) -> None:
    """Other bytes, although the loss differs by a millionth, and from the fourth epoch on."""
    before = locked(zoo)
    faster = OTHER | {"variants": {"other": variant("netwidth", train={"lr": 0.02})}}
    write_zoo(zoo, middle=RES | {"seeds": [1]}, slow=faster, trials=TRIALS)
    edit(zoo / LOOP, "share * loss", "share * loss * (1 + 1e-6 * (state.epoch >= 3))")
    edit(zoo / "src/cifar2/models/netdepth.py", "def forward", "def forwards")
    said = adopt(zoo, status=1)
    for name, reason in {
        "other-1": r"train\.lr was 0\.01, now it is 0\.02$",
        "res-1": r"the bytes differ: models/res-1/model\.pt",
        "try-folds": "the present code fails: NotImplementedError: ",
    }.items():
        assert re.search(f"^{name}: refused: {reason}", said, re.MULTILINE), said
    assert said.splitlines()[-1] == "zoo: 0 trainings adopted, 3 refused"
    assert locked(zoo) == before


@pytest.mark.slow
def test_only_what_was_checked_is_recorded(one_variant: Path) -> None:
    """An edit of the code or of the settings of a run during the check is named."""
    clone = one_variant
    before = locked(clone)
    add_comment(clone / LOOP)
    settings = "settings/evaluate/res-1.yaml"
    (clone / "edited.py").write_text(f"""
from zoo import adopt

def check(*_):
    for path in ({LOOP!r}, "zoo/{settings}"):
        with open(path, "a") as file:
            file.write("# edited\\n")

adopt._check = check
raise SystemExit(adopt.adopt())
""")
    said = run("python", "edited.py", cwd=clone, status=1)
    refused = "refused: edited during the check:"
    assert said.splitlines() == [
        f"res-1: {refused} {settings}",
        f"res-2: {refused} {settings}",
        "zoo: 0 trainings adopted, 2 refused",
    ]
    assert locked(clone) == before


@pytest.mark.slow
def test_a_shallow_clone_lacks_the_recorded_code(one_variant: Path, tmp_path: Path) -> None:
    add_comment(one_variant / "src/cifar2/models/netres.py")
    commit(one_variant)
    shallow = tmp_path / "shallow"
    run("git", "clone", "--quiet", "--depth=1", one_variant.as_uri(), shallow, cwd=tmp_path)
    cache = one_variant / ".dvc" / "cache"
    shutil.copytree(cache, shallow / ".dvc" / "cache", copy_function=os.link)
    assert "res-1: refused: no commit has the code that " in adopt(shallow, status=1)


def test_other_libraries_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('dependencies = [\n  "torch==1.0",\n]\n')
    with pytest.raises(Refused, match=r"^trained with torch 1\.0; here is \d+\.\d"):
        _compare_libraries(tmp_path)
