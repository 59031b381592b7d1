"""The command that trains a variant by itself, as an experiment of the main pipeline."""

import json
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
    first: dict[str, params.Params] = {}  # run of each variant
    for name, run in variants.runs(zoo, defaults, str(path)):
        first.setdefault(name.rpartition("-")[0], run)
    if variant not in first:
        hint = params.did_you_mean(variant, list(first))
        raise UserError(f"{variant!r}: unknown variant;{hint} variants: {', '.join(first)}")
    wanted = first[variant].model_dump()
    words = ["dvc exp run", f"--name {variant}"]
    for section, values in defaults.model_dump().items():
        for key, value in values.items():
            if (other := wanted[section][key]) != value:  # written as YAML, without quotes
                text = json.dumps(other, ensure_ascii=False, separators=(",", ":"))
                flag = f"{section}.{key}={text}".replace('"', "")
                words.append(f"-S {shlex.quote(flag)}")
    # Lines that a shell reads as one; a flag stays in one of them.
    text = " ".join(word.replace(" ", "\0") for word in words)
    lines = textwrap.wrap(
        text, 96, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    return " \\\n".join(lines).replace("\0", " ")
