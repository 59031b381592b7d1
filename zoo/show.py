"""The command that trains a variant by itself, as an experiment of the main pipeline."""

from __future__ import annotations

import shlex
import textwrap

from cifar2 import params
from cifar2.errors import UserError
from zoo import ROOT, variants


def command(variant: str) -> str:
    """Return the `dvc exp run` for a variant and its first seed; it gives the zoo's own numbers.

    Raises:
        UserError: if there is no such variant, or the settings are wrong.
    """
    path = ROOT / "zoo" / "params.yaml"
    zoo = variants.load(path)
    defaults = params.load(ROOT / "params.yaml")
    groups = [group for group in zoo.groups().values() if variant in group.variants]
    if not groups:
        known = [name for group in zoo.groups().values() for name in group.variants]
        hint = params.did_you_mean(variant, known)
        raise UserError(f"{variant!r}: unknown variant;{hint} variants: {', '.join(known)}")
    (group,) = groups
    if not group.seeds:
        raise UserError(f"{variant}: no seeds")
    name = f"{variant}-{group.seeds[0]}"
    runs = variants.runs(zoo, defaults, str(path))
    wanted = next(run.settings for run in runs if run.name == name).model_dump()
    flags = [
        f"-S {shlex.quote(f'{section}.{key}={_written(value)}')}"
        for section, values in defaults.model_dump().items()
        for key, value in values.items()
        if wanted[section][key] != value
        for value in [wanted[section][key]]
    ]
    return _wrapped(["dvc exp run", f"--name {variant}", *flags])


def _written(value: object) -> str:
    """Write a value as DVC's `-S` reads it."""
    if isinstance(value, list):
        return f"[{','.join(map(str, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _wrapped(words: list[str]) -> str:
    """Join words by spaces, in lines that a shell reads as one."""
    text = " ".join(word.replace(" ", "\0") for word in words)
    lines = textwrap.wrap(
        text, 96, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    return " \\\n".join(lines).replace("\0", " ")
