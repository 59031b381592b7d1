"""Run what is not up to date in the zoo, several trainings at once.

DVC itself runs one stage after the other. But several of its processes, each with a run of its own,
keep out of each other's way with `--wait-for-lock`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

from tqdm import tqdm

from zoo.project import SCRATCH, ZOO, cache_runs, dvc, make_data, opened, outdated, runs

LOGS = SCRATCH / "zoo"


def train(jobs: int) -> int:
    """Bring every run up to date, `jobs` at once, and compare them; return the exit status."""
    dvc("repro", "--quiet", "--single-item", "compose")
    with opened() as repo:
        every = runs(repo)
        left = outdated(repo)
    if left:
        make_data(stage for stages in left.values() for stage in stages)
        with opened() as repo:  # more may be outdated now, if the data came out differently
            every = runs(repo)
            left = outdated(repo)
    print(f"{len(every) - len(left)} of {len(every)} runs are up to date", file=sys.stderr)
    wanted = {}
    for name, stages in left.items():
        # An evaluation needs its checkpoint, which a fresh clone does not have.
        needs_training = any(not stage.name.startswith("confusion") for stage in stages)
        wanted[name] = [stage.name for stage in (every[name] if needs_training else stages)]
    failed = _run_all(wanted, jobs, done=len(every) - len(left))
    for name in failed:
        said = _log(name).splitlines() or ["it printed nothing"]
        # The stage's own last line, if there is one; DVC's says only that the stage failed.
        stage = r"(train|evaluate|neither|confusion): "
        reasons = [line for line in said if re.match(stage, line)] or said
        print(f"zoo: {name}: {reasons[-1]} (log: {LOGS / name}.log)", file=sys.stderr)
    with opened() as repo:
        cache_runs(repo)
    dvc("repro", "--single-item", "compare")
    return 1 if failed else 0


def _run_all(wanted: dict[str, list[str]], jobs: int, done: int) -> list[str]:
    """Run the stages of each run, `jobs` runs at once; return the runs that failed."""
    LOGS.mkdir(parents=True, exist_ok=True)
    total = done + len(wanted)
    failed: list[str] = []
    pool = ThreadPoolExecutor(jobs)
    futures = {pool.submit(_run, name, stages): name for name, stages in wanted.items()}
    pending = set(futures)
    try:
        with tqdm(total=total, initial=done, unit="run", disable=None) as bar:
            while pending:
                ended, pending = wait(pending, timeout=2, return_when=FIRST_COMPLETED)
                failed += [futures[future] for future in ended if future.result()]
                running = ", ".join(
                    _progress(name) for future, name in futures.items() if future.running()
                )
                bar.set_postfix_str(running)
                bar.update(len(ended))
                if ended and bar.disable:  # not on a terminal
                    done += len(ended)
                    print(
                        f"{done} of {total} runs done, {len(failed)} of them failed;"
                        f" running: {running or 'none'}",
                        file=sys.stderr,
                    )
    finally:
        pool.shutdown(cancel_futures=True)
    return failed


def _run(name: str, stages: list[str]) -> int:
    """Run the stages of a run; return DVC's exit status."""
    with open(LOGS / f"{name}.log", "wb") as log:
        words = ["dvc", "--wait-for-lock", "repro", "--single-item", *stages]
        return subprocess.call(words, cwd=ZOO, stdout=log, stderr=subprocess.STDOUT)


def _progress(name: str) -> str:
    """Return the run's name, and the last epoch in its log."""
    epochs = re.findall(r"epoch (\d+/\d+)", _log(name))
    return f"{name} {epochs[-1]}" if epochs else name


def _log(name: str) -> str:
    """Return what the stages of a run have printed so far."""
    path = LOGS / f"{name}.log"
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
