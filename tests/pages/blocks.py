"""The commands in a page, and whether their output is the one that the page shows."""

from __future__ import annotations

import re
from typing import NamedTuple

# A comment before a block says how it is run: "not run: reason", "fails: reason", or "output
# differs: reason".
BLOCK = re.compile(r"(?:^<!-- ([^\n]*) -->\n)?^```(console|python)\n(.*?)^```$", re.M | re.S)
NUMBER = re.compile(r"-?\d([\d.,:-]*\d)?")
ADDRESS = re.compile(r"file://\S*(?=/dvc_plots/)")


class Block(NamedTuple):
    mark: str  # the comment before it, or ""
    kind: str  # "console" or "python"
    text: str
    line: int


def blocks(page: str) -> list[Block]:
    return [
        Block(match[1] or "", match[2], match[3], page.count("\n", 0, match.start()) + 1)
        for match in BLOCK.finditer(page)
    ]


def commands(text: str) -> list[tuple[str, str]]:
    """Return the commands of a console block, each with the output below it."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        elif found and found[-1][0].endswith("\\") and not found[-1][1]:
            found[-1] = (f"{found[-1][0]}\n{line}", "")
        else:
            command, output = found[-1]
            found[-1] = (command, f"{output}{line}\n")
    return found


def agrees(shown: str, said: str) -> bool:
    """Tell whether a command said what the page shows.

    Numbers, times, widths of tables and the folder of the clone may differ. "…" stands for any
    text, also for none.
    """
    parts = [re.escape(_open(part)) for part in shown.split("…")]
    return bool(re.fullmatch(r"\s*.*?\s*".join(parts).strip(), _open(said), re.DOTALL))


def _open(text: str) -> str:
    text = NUMBER.sub("0", ADDRESS.sub("file://", text))
    return " ".join(re.sub("─+", "─", text).split())
