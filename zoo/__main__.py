"""Run what is not up to date in the zoo, several trainings at once.

DVC itself runs one stage after the other; but several of its processes, each with a run of its own,
keep out of each other's way with `--wait-for-lock`.
"""

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / ".dvc" / "tmp" / "zoo"
ZOO = "zoo/dvc.yaml"
Runs = dict[str, list[str]]  # the stages of each run, in their order


def main() -> None:
    parser = argparse.ArgumentParser(
        "zoo", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="trainings at once, of one thread each"
    )
    jobs = parser.parse_args().jobs
    if jobs < 1:
        parser.error(f"--jobs: {jobs} is too few, at least 1")
    if not shutil.which("dvc"):
        sys.exit("zoo: there is no dvc on the PATH; activate the environment, or use `make zoo`")
    try:
        dvc("repro", "--single-item", f"{ZOO}:compose")
        runs = all_runs()
        data = {"dvc.yaml:filter": ["download", "filter"]}
        if any(stage.startswith(f"{ZOO}:train_ten@") for each in runs.values() for stage in each):
            data[f"{ZOO}:filter_ten"] = [f"{ZOO}:filter_ten"]
        if stale(runs | data):
            dvc("repro", *data)
        left = stale(runs)  # more of them, if the data came out other than it was
        print(f"{len(runs) - len(left)} of {len(runs)} runs are up to date", file=sys.stderr)
        failed = train(runs, left, jobs)
    except KeyboardInterrupt:  # the terminal's, which interrupts whatever runs as well
        print("zoo: stopped; the same command goes on from there", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    for name in failed:
        said = (LOGS / f"{name}.log").read_text().splitlines() or ["it left no word"]
        # The stage's own last line, where it has one; DVC's says no more than that it failed.
        reasons = [line for line in said if re.match(r"(train|evaluate): ", line)] or said
        print(f"zoo: {name}: {reasons[-1]} (more: {LOGS / name}.log)", file=sys.stderr)
    dvc("repro", "--single-item", f"{ZOO}:compare")
    sys.exit(1 if failed else 0)


def dvc(*words: str) -> None:
    if subprocess.call(["dvc", *words], cwd=ROOT):
        sys.exit(1)


def answer(*words: str) -> str:
    """Return what DVC says."""
    done = subprocess.run(["dvc", *words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout


def all_runs() -> Runs:
    runs: Runs = {}
    for stage in answer("stage", "list", "--name-only", ZOO).split():
        if "@" in stage:
            runs.setdefault(stage.partition("@")[2], []).append(stage)
    return runs


def stale(runs: Runs) -> list[str]:
    """Return the runs whose results are not those of the code and settings as they are.

    Data and checkpoints that are missing, as in a fresh clone, make no run stale: its results are
    in Git.
    """
    status = json.loads(answer("status", "--json", "dvc.yaml", ZOO))
    return [name for name, stages in runs.items() if any(map(changed, map(status.get, stages)))]


def changed(entries: list[Any] | None) -> bool:
    """Tell whether more than data or a checkpoint is missing in what DVC says of a stage."""
    for entry in entries or []:
        if not isinstance(entry, dict):  # "changed command"
            return True
        for path, what in (item for paths in entry.values() for item in paths.items()):
            missing = what in ("deleted", "not in cache")
            if not (missing and path.startswith(("data/", "zoo/models/"))):
                return True
    return False


def train(runs: Runs, left: list[str], jobs: int) -> list[str]:
    """Bring the runs that are left up to date, `jobs` at once; return those that failed."""
    LOGS.mkdir(parents=True, exist_ok=True)
    done = len(runs) - len(left)
    failed: list[str] = []
    pool = ThreadPoolExecutor(jobs)
    futures = {pool.submit(run, name, runs[name]): name for name in left}
    pending = set(futures)
    try:
        with tqdm(total=len(runs), initial=done, unit="run", disable=None) as bar:
            while pending:
                ended, pending = wait(pending, timeout=2, return_when=FIRST_COMPLETED)
                failed += [futures[future] for future in ended if future.result()]
                running = ", ".join(
                    progress(name) for future, name in futures.items() if future.running()
                )
                bar.set_postfix_str(running)
                bar.update(len(ended))
                if ended and bar.disable:  # no terminal
                    done += len(ended)
                    print(
                        f"{done} of {len(runs)} runs done, {len(failed)} of them failed;"
                        f" running: {running or 'none'}",
                        file=sys.stderr,
                    )
    finally:
        pool.shutdown(cancel_futures=True)
    return failed


def run(name: str, stages: list[str]) -> int:
    """Run the stages of a run; return DVC's exit status."""
    with open(LOGS / f"{name}.log", "w") as log:
        words = ["dvc", "--wait-for-lock", "repro", "--single-item", *stages]
        return subprocess.call(words, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)


def progress(name: str) -> str:
    """Return the run's name, and the last epoch that its log tells of."""
    log = LOGS / f"{name}.log"
    epochs = re.findall(r"epoch (\d+/\d+)", log.read_text()) if log.exists() else []
    return f"{name} {epochs[-1]}" if epochs else name


if __name__ == "__main__":
    main()
