"""Write what a change does to the results, in Markdown, for the summary of a pull request.

First the metrics that the change commits, beside those of the branch that it is for. Then the
metrics that `dvc repro` has just made on this machine, beside the committed ones. Another CPU
gives slightly other weights (docs/reproducibility.md), so small differences are allowed. Last the
pictures. It needs no token: it reads this clone alone.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

METRICS = [f"metrics/{name}.json" for name in ("accuracy", "calibration", "classes")]
PICTURES = ("plots/loss.png", "plots/accuracy.png")
# Another CPU does what another seed does. Over the zoo's seeds, the standard deviation of the
# accuracy on val is 0.005, and that on train 0.006.
TOLERANCE = {"accuracy": 0.02, "per_class": 0.04, "precision": 0.04, "f1": 0.02}
TOLERANCE |= {"loss": 0.05, "ece": 0.02, "temperature": 0.3}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("base", help="the commit to compare with, such as origin/main")
    parser.add_argument("--pictures", metavar="URL", help="where this commit's files are shown")
    arguments = parser.parse_args()
    print(f"## Committed metrics, beside {arguments.base}\n")
    table = output("dvc", "metrics", "diff", "--md", arguments.base, "HEAD").strip()
    print(table if table.count("\n") > 1 else "No metric changed.")
    print("\n## Metrics as trained here, beside the committed ones\n")
    print("| metric | committed | here | difference | |\n|---|---:|---:|---:|---|")
    too_far = False
    for path in METRICS:
        committed = dict(numbers(json.loads(output("git", "show", f"HEAD:{path}"))))
        made = dict(numbers(json.loads(Path(path).read_bytes())))
        for name in made | committed:
            cells = ["", "**not made here**" if name in committed else "**not committed**"]
            if name in made and name in committed:
                difference = made[name] - committed[name]
                allowed = next((each for key, each in TOLERANCE.items() if key in name), 0)
                near = abs(difference) <= allowed  # which what is not a number never is
                cells = [f"{difference:+.4f}", "" if near else f"**more than {allowed}**"]
            too_far |= cells[1] != ""
            row = [name, committed.get(name, "-"), made.get(name, "-"), *cells]
            print(f"| {' | '.join(map(str, row))} |")
    if arguments.pictures:
        print("\n## Committed pictures\n")
        for path in PICTURES:
            print(f"![{path}]({arguments.pictures}/{path})")
    if too_far:
        sys.exit("report: the committed metrics are not those of this code and these settings")


def output(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, encoding="utf-8").stdout


def numbers(content: dict[str, object], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield the numbers in a file of metrics, with their names."""
    for key, value in content.items():
        if isinstance(value, dict):
            yield from numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float):
            yield f"{prefix}{key}", value


if __name__ == "__main__":
    main()
