"""The command that trains a variant by itself, as an experiment of the main pipeline."""

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
    known = {name: group.seeds for group in zoo.groups().values() for name in group.variants}
    known |= zoo.compared()
    if variant not in known:
        hint = params.did_you_mean(variant, list(known))
        raise UserError(f"{variant!r}: unknown variant;{hint} variants: {', '.join(known)}")
    if not known[variant]:
        raise UserError(f"{variant}: no seeds")
    name = f"{variant}-{known[variant][0]}"
    runs = variants.runs(zoo, defaults, str(path))
    wanted = next(run for key, run in runs if key == name).model_dump()
    flags = [
        f"-S {shlex.quote(f'{section}.{key}={_written(wanted[section][key])}')}"
        for section, values in defaults.model_dump().items()
        for key, value in values.items()
        if wanted[section][key] != value
    ]
    # Lines that a shell reads as one; a flag stays in one of them.
    words = ["dvc exp run", f"--name {variant}", *flags]
    text = " ".join(word.replace(" ", "\0") for word in words)
    lines = textwrap.wrap(
        text, 96, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    return " \\\n".join(lines).replace("\0", " ")


def _written(value: object) -> str:
    """Write a value as DVC's `-S` reads it."""
    if isinstance(value, list):
        return f"[{','.join(map(str, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
