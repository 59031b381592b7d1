"""Compare the zoo's variants over seeds and with the book; write a model card of each."""

from pathlib import Path

from cifar2 import files
from zoo import variants

MISSING = "`make zoo` makes it"
DAMAGED = "remove the run's folder, then run `make zoo`"
HELP = {
    "zoo": "the zoo's settings file",
    "settings": "the folder of the runs' settings",
    "runs": "the folder of the runs' results",
    "results": "the JSON file to write the means, deviations and accuracies to",
    "pairs": "the CSV file to write the difference of every pair to",
    "scores": "the CSV file to write each variant's accuracy, log loss and Brier score to",
    "markdown": "the Markdown table of the results to write",
    "cards": "the folder to write a model card of each variant to",
    "accuracy_plot": "the picture to draw of the accuracies",
    "curves_plot": "the picture to draw of the accuracies per epoch",
    "pairs_plot": "the picture to draw of the differences",
    "trials": "the CSV file to write each trial's accuracies to",
    "trials_pairs": "the CSV file to write the difference of every pair of trials to",
}


def main(
    zoo: Path,
    settings: Path,
    runs: Path,
    results: Path,
    pairs: Path,
    scores: Path,
    markdown: Path,
    cards: Path,
    accuracy_plot: Path,
    curves_plot: Path,
    pairs_plot: Path,
    trials: Path,
    trials_pairs: Path,
) -> None:
    import numpy as np

    from cifar2.report import card
    from zoo import comparison, plotting, summary

    content = variants.load(zoo)
    tried = summary.finished_on_folds(settings, runs, content.trials.variants)
    files.write(trials, summary.format_trials(tried).encode())
    on_folds = {k: each.probabilities for k, each in tried.items()}
    differences = comparison.differences({}, on_folds)
    files.write(trials_pairs, comparison.table(differences).encode())

    compared = summary.finished_runs(settings, runs, content.compared())
    data = summary.describe_data(compared)
    # The book's val is not train images that were set apart.
    apart = any(run.settings.data.holdout for seeds in compared.values() for run in seeds.values())
    book = {} if apart else content.book

    summarised = summary.summarise(compared)
    files.write(results, summary.to_json(summarised).encode())
    files.write(markdown, summary.format_table(summarised, book).encode())

    scored = {k: np.stack([run.probabilities for run in v.values()]) for k, v in compared.items()}
    known = summary.finished_on_folds(settings, runs, content.folds.variants)
    on_folds = {k: each.probabilities for k, each in known.items()}
    differences = comparison.differences(scored, on_folds)
    files.write(pairs, comparison.table(differences).encode())
    first = next(run for seeds in compared.values() for run in seeds.values())
    of_two = scored if len(first.accuracy.classes) == 2 else {}
    files.write(scores, comparison.table_of_scores(of_two).encode())
    chosen = [name for name in compared if name in comparison.CHOSEN]
    title = f"Accuracy on {data}, row minus column, in percentage points; bold: better or worse;"
    title += "\n≈: equivalent within 0.5; grey: undecided; framed: primary, others: exploratory"
    title += "\nf: on folds, others on val" if on_folds else "\non val"
    title += f"; chosen by looking at val: {', '.join(chosen)}" if chosen else ""
    files.write(pairs_plot, plotting.triangle(differences, title))

    words = {d.a: comparison.in_words(d) for d in differences if d.b == comparison.REFERENCE}
    with files.folder(cards) as part:
        for name, seeds in compared.items():
            accuracies, (first, *_) = [run.accuracy for run in seeds.values()], seeds.values()
            text = card.card(first.settings, accuracies, list(seeds), []) + words.get(name, "")
            files.write(part / f"{name}.md", text.encode())

    title = f"Accuracy on {data}: mean over seeds, ± one standard deviation"
    files.write(accuracy_plot, plotting.bars(compared, book, title))
    title = f"Accuracy per epoch on {data}: mean over seeds, and range"
    files.write(curves_plot, plotting.small_multiples(compared, title))
