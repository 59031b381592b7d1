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
    changes = json.loads(output("dvc", "metrics", "diff", "--json", "--all", "HEAD"))
    made = {name: each for path in METRICS for name, each in changes.get(path, {}).items()}
    for name, each in sorted(made.items()):
        old, new = each.get("old"), each.get("new")
        if isinstance(old or new, str) or (old is None and new is None):  # of no image: null
            continue
        cells = ["", "**not made here**" if new is None else "**not committed**"]
        if None not in (old, new):
            allowed = next((number for key, number in TOLERANCE.items() if key in name), 0)
            near = abs(new - old) <= allowed  # which what is not a number never is
            cells = [f"{new - old:+.4f}", "" if near else f"**more than {allowed}**"]
        too_far |= cells[1] != ""
        shown = ("-" if value is None else value for value in (old, new))
        print(f"| {' | '.join(map(str, [name, *shown, *cells]))} |")
    if arguments.pictures:
        print("\n## Committed pictures\n")
        for path in PICTURES:
            print(f"![{path}]({arguments.pictures}/{path})")
    if too_far:
        sys.exit("report: the committed metrics are not those of this code and these settings")


def output(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, encoding="utf-8").stdout


if __name__ == "__main__":
    main()
