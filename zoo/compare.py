"""Compare the zoo's variants over seeds and with the book; write a model card of each."""

from pathlib import Path

from cifar2 import files
from zoo import variants

MISSING = "`make zoo` makes it"
DAMAGED = "remove the run's folder, then run `make zoo`"
HELP = {"zoo": "the zoo's folder, with its settings and the results of its runs"}


def main(zoo: Path) -> None:
    import numpy as np

    from cifar2.report import card
    from zoo import comparison, plotting, summary

    content = variants.load(zoo / "params.yaml")
    settings, runs = zoo / "settings" / "evaluate", zoo / "runs"
    tried = summary.finished_on_folds(settings, runs, content.trials.variants)
    files.write(zoo / "trials.csv", summary.format_trials(tried).encode())
    on_folds = {k: each.probabilities for k, each in tried.items()}
    differences = comparison.differences({}, on_folds)
    files.write(zoo / "trials_pairs.csv", comparison.table(differences).encode())
    if not content.compared():
        return

    compared = summary.finished_runs(settings, runs, content.compared())
    data = summary.describe_data(compared)
    # The book's val is not train images that were set apart.
    apart = any(run.settings.data.holdout for seeds in compared.values() for run in seeds.values())
    book = {} if apart else content.book

    summarised = summary.summarise(compared)
    files.write(zoo / "results.json", summary.to_json(summarised).encode())
    files.write(zoo / "table.md", summary.format_table(summarised, book).encode())

    scored = {k: np.stack([run.probabilities for run in v.values()]) for k, v in compared.items()}
    known = summary.finished_on_folds(settings, runs, content.folds.variants)
    on_folds = {k: each.probabilities for k, each in known.items()}
    differences = comparison.differences(scored, on_folds)
    files.write(zoo / "pairs.csv", comparison.table(differences).encode())
    first = next(run for seeds in compared.values() for run in seeds.values())
    of_two = scored if len(first.accuracy.classes) == 2 else {}
    files.write(zoo / "scores.csv", comparison.table_of_scores(of_two).encode())
    chosen = [name for name in compared if name in comparison.CHOSEN]
    title = f"Accuracy on {data}, row minus column, in percentage points; bold: better or worse;"
    title += "\n≈: equivalent within 0.5; grey: undecided; framed: primary, others: exploratory"
    on = "f: on folds and val, or on folds alone if chosen by val; others on val"
    title += f"\n{on}" if on_folds else "\non val"
    title += f"; chosen by looking at val: {', '.join(chosen)}" if chosen else ""
    files.write(zoo / "pairs.png", plotting.triangle(differences, title))

    words = {d.a: comparison.in_words(d) for d in differences if d.b == comparison.REFERENCE}
    with files.folder(zoo / "cards") as part:
        for name, seeds in compared.items():
            accuracies, (first, *_) = [run.accuracy for run in seeds.values()], seeds.values()
            text = card.card(first.settings, accuracies, list(seeds), []) + words.get(name, "")
            files.write(part / f"{name}.md", text.encode())

    title = f"Accuracy per epoch on {data}: mean over seeds, and range"
    files.write(zoo / "curves.png", plotting.small_multiples(compared, title))
