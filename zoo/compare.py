"""Compare the zoo's variants: means over seeds, the book's numbers, which differences are real.

And describe each variant in a model card.
"""

import json
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
    "markdown": "the Markdown table of the results to write",
    "cards": "the folder to write a model card of each variant to",
    "accuracy_plot": "the picture to draw of the accuracies",
    "curves_plot": "the picture to draw of the accuracies per epoch",
    "pairs_plot": "the picture to draw of the differences",
}


def main(
    zoo: Path,
    settings: Path,
    runs: Path,
    results: Path,
    pairs: Path,
    markdown: Path,
    cards: Path,
    accuracy_plot: Path,
    curves_plot: Path,
    pairs_plot: Path,
) -> None:
    import numpy as np

    from cifar2.report import card
    from zoo import comparison, plotting, summary

    content = variants.load(zoo)
    compared = summary.finished_runs(settings, runs, content.compared())
    others = summary.finished_runs(settings, runs, content.not_compared())
    data = summary.describe_data(compared)
    book = {} if summary.has_holdout(compared) else content.book

    summarised = summary.summarise(compared | others)
    as_json = json.dumps(summary.to_json(summarised), indent=2)
    files.write(results, f"{as_json}\n".encode())
    files.write(markdown, summary.format_table(summarised, book).encode())

    with files.folder(cards) as part:
        for name, seeds in (compared | others).items():
            scores = [run.accuracy for run in seeds.values()]
            first = next(iter(seeds.values()))
            text = card.card(first.settings, scores, list(seeds), [])
            files.write(part / f"{name}.md", text.encode())

    drawn = plotting.collect_variants(compared, book)
    title = f"Accuracy on {data}: mean over seeds, ± one standard deviation"
    files.write(accuracy_plot, plotting.bars(drawn, title))
    title = f"Accuracy per epoch on {data}: mean over seeds, and range"
    files.write(curves_plot, plotting.small_multiples(drawn, title))

    marks = {name: np.stack(each) for name, each in summary.mark_answers(compared).items()}
    differences = comparison.differences(marks)
    files.write(pairs, comparison.table(differences).encode())
    title = f"Val accuracy on {data}, row minus column, in percentage points;"
    title += "\nbold: the 95% interval leaves out 0, with three seeds or more each"
    cells = [(-each.mean, each.real) for each in differences]
    files.write(pairs_plot, plotting.triangle(list(compared), cells, title))
