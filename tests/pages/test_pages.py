"""Every command in README.md and docs/, typed in one clone, in the order in which a reader does."""

import contextlib
import re
import sys
from pathlib import Path

import pytest
import yaml

from pages import results
from tests.conftest import copy_clone, edit, needs_zoo, ray_alone, run, wait_for_queue
from tests.pages.blocks import Block, agrees, blocks, commands

END = "the command ended with status"  # printed after each command, to tell their outputs apart


def in_order() -> list[Path]:
    """Return README, and the pages in the order of its "Read on"."""
    readme = results.ROOT / "README.md"
    rest = readme.read_text(encoding="utf-8").partition("\n## Read on\n")[2]
    linked = [results.ROOT / name for name in re.findall(r"\]\((docs/\w+\.md)\)", rest)]
    return list(dict.fromkeys([readme, *linked]))


@pytest.fixture(scope="module")
def here(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the clone, with a short zoo, for all pages."""
    copy = copy_clone(clone, tmp_path_factory.mktemp("reader") / "clone")
    path = copy / "zoo" / "params.yaml"
    zoo = yaml.safe_load(path.read_text())
    fast = zoo["quick"]["variants"]["fast"]
    for group in ("quick", "middle", "slow"):
        zoo[group] |= {"seeds": [], "variants": {}}
    zoo["folds"]["variants"], zoo["trials"]["variants"] = [], {}
    zoo["quick"] = {"seeds": [1], "variants": {"fast": fast}}
    zoo["asked_about_others"] = ["fast-1"]
    path.write_text(yaml.safe_dump(zoo, sort_keys=False))
    run("git", "commit", "--quiet", "--all", "--message=short zoo", cwd=copy)
    return copy


@pytest.mark.slow
@needs_zoo
@pytest.mark.skipif(sys.platform == "win32", reason="the commands are those of a Unix shell")
@pytest.mark.parametrize("page", in_order(), ids=lambda page: page.name)
def test_commands_do_what_the_page_shows(page: Path, here: Path) -> None:
    alone: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
    if page.name == "cluster.md":
        pytest.importorskip("ray", reason="it takes the extra `cluster`")
        alone = ray_alone()
        # Its reader wants more seeds, and everything else is up to date since zoo.md.
        edit(here / "zoo/params.yaml", "  seeds:\n  - 1\n", "  seeds: [1, 11]\n")
    with alone:
        for block in blocks(page.read_text(encoding="utf-8")):
            if not block.mark.startswith("not run:"):
                check(block, here, f"{page.name}, line {block.line}")
    if page.name == "cluster.md":
        assert (here / "zoo/runs/fast-11/accuracy.json").exists()


def check(block: Block, folder: Path, place: str) -> None:
    typed = commands(block.text) if block.kind == "console" else [("python - <<'END'", "")]
    script = block.text + "END\n" if block.kind == "python" else ""
    lines = [f"{command}\n{script}status=$?; echo; echo {END} $status\n" for command, _ in typed]
    # `make` takes this environment as it is.
    make = {"VENV": sys.prefix, "MAKEFLAGS": " -- MISSING="}
    env = make | {"PYTHONPATH": "src", "COLUMNS": "100"}
    rest = run("bash", "-c", "".join(lines), cwd=folder, env=env, timeout=1200)
    if "dvc queue start" in block.text:
        wait_for_queue(folder)
    for command, shown in typed:
        said, _, rest = rest.partition(END)
        status, _, rest = rest.partition("\n")
        expected_to_fail = block.mark.startswith("fails:")
        assert (status.strip() != "0") == expected_to_fail, f"{place}: {command}\n{said}"
        is_open = not shown or block.mark.startswith("output differs:")
        assert is_open or agrees(shown, said), f"{place}: {command}\n{said}\n--- shown\n{shown}"


def test_read_on_names_every_page() -> None:
    assert set(in_order()) == set(results.pages())
