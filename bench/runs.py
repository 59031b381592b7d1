"""Time the zoo as the number of its runs grows, and take its memory: python -m bench.runs.

The runs are trivial: each has one stage, which copies its settings. So this is the work of the
process that hands the runs out, takes what they wrote, and records it with DVC.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import psutil
import yaml

ROOT = Path(__file__).resolve().parent.parent
# The zoo's stages as `python -m zoo train` names them, with commands that take no time.
PIPELINE = """\
stages:
  compose:
    cmd: cp -r ../settings settings
    always_changed: true
    outs:
    - settings:
        cache: false
  train_quick:
    matrix:
      variant: ${quick.variants}
      seed: ${quick.seeds}
    cmd: mkdir -p models/${key} && cp settings/${key}.yaml models/${key}/model.pt
    deps:
    - settings/${key}.yaml
    outs:
    - models/${key}/model.pt
  compare:
    cmd: echo > results.csv
    outs:
    - results.csv
  compare_trials:
    cmd: echo > trials.csv
    outs:
    - trials.csv
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, nargs="+", default=[100, 1_000, 10_000])
    arguments = parser.parse_args()
    print(f"{'runs':>6} {'first':>8} {'a run':>8} {'memory':>10} {'again':>8}")
    for count in arguments.runs:
        with tempfile.TemporaryDirectory() as folder:
            project(Path(folder), count)
            first, memory = train(Path(folder))
            again, _ = train(Path(folder))
        print(
            f"{count:>6} {first:>6.1f} s {1000 * first / count:>5.0f} ms {memory:>6.0f} MiB"
            f" {again:>6.1f} s",
            flush=True,
        )


def project(folder: Path, count: int) -> None:
    """Write a copy of this project with another zoo."""
    for name in ("src", "stages"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / "zoo").mkdir()
    for path in (ROOT / "zoo").glob("*.py"):
        shutil.copy(path, folder / "zoo")
    for place in (folder, folder / "zoo"):
        (place / ".dvc").mkdir()
        (place / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    (folder / "dvc.yaml").write_text("stages:\n  filter:\n    cmd: echo\n")
    (folder / "zoo" / "dvc.yaml").write_text(PIPELINE)
    (folder / "settings").mkdir()
    for seed in range(count):
        (folder / "settings" / f"constant-{seed}.yaml").write_text(f"seed: {seed}\n")
    zoo = yaml.safe_load((ROOT / "zoo" / "params.yaml").read_bytes()) | {"neither": []}
    for group in ("quick", "middle", "slow", "ten_classes", "trials"):
        zoo[group] |= {"seeds": [], "variants": {}}
    zoo["quick"] = {"seeds": list(range(count)), "variants": {"constant": {}}}
    (folder / "zoo" / "params.yaml").write_text(json.dumps(zoo))


def train(folder: Path) -> tuple[float, float]:
    """Bring the zoo up to date; return the seconds it took and the peak memory in MiB."""
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    }
    start = time.monotonic()
    command = [sys.executable, "-m", "zoo", "train", "--jobs", "2"]
    with open(folder / "log", "wb") as log:
        process = psutil.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        peak = 0
        while process.poll() is None:
            peak = max(peak, process.memory_info().rss)
            time.sleep(0.05)
    if process.returncode:
        sys.exit((folder / "log").read_text())
    return time.monotonic() - start, peak / 2**20


if __name__ == "__main__":
    main()
