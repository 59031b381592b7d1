"""Compare the zoo's trials: settings, on train images that were set apart."""

from pathlib import Path

from cifar2 import files
from zoo import variants

MISSING = "`make zoo` makes it"
DAMAGED = "remove the run's folder, then run `make zoo`"
HELP = {
    "zoo": "the zoo's settings file",
    "settings": "the folder of the runs' settings",
    "runs": "the folder of the runs' results",
    "results": "the CSV file to write each trial's accuracies to",
    "pairs": "the CSV file to write the difference of every pair to",
}


def main(zoo: Path, settings: Path, runs: Path, results: Path, pairs: Path) -> None:
    import numpy as np

    from zoo import comparison, summary

    trials = variants.load(zoo).trials
    finished = summary.finished_runs(settings, runs, dict.fromkeys(trials.variants, trials.seeds))
    whole = {name: folds for name, folds in finished.items() if len(folds) == len(trials.seeds)}
    if whole:
        for seed in trials.seeds:  # an error, if its trials are not on the same images
            summary.describe_data({name: {seed: folds[seed]} for name, folds in whole.items()})

    files.write(results, summary.format_trials(whole).encode())
    found = {}
    for name, folds in whole.items():
        parts = [run.probabilities for run in folds.values()]
        own = np.repeat(np.eye(len(parts), dtype=bool), [len(part) for part in parts], axis=1)
        found[name] = np.where(own, np.concatenate(parts), np.nan)
    files.write(pairs, comparison.table(comparison.differences(found)).encode())
