"""Write the settings of each run of the zoo: the project's, its variant's, its seed.

Those to train by and those to evaluate by, so that another evaluation trains nothing anew.
"""

import contextlib
import copy
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _stage
import yaml

from cifar2 import UserError, files, models, params

# What a training does not read stands at one value each, so that another default trains nothing:
# the data's settings, since a run takes the images as they are; the settings of other networks;
# those of other optimizers; the evaluation's.
DATA = {"classes": ["airplane", "bird"], "source": "auto"}
MODEL: dict[str, Any] = {"n_chans1": 2, "n_blocks": 1, "dropout": 0.0, "shared_blocks": False}
SGD = {"momentum": 0.0, "nesterov": False}
EVALUATION = {"mirror": False}


def main(settings: Path, variants: Path, runs: Path) -> None:
    params.load(settings)
    defaults = yaml.safe_load(settings.read_bytes()) | {"data": DATA}
    zoo = yaml.safe_load(variants.read_bytes())
    with named(variants, "all", variants):
        everywhere = merge(zoo["all"])
    with files.folder(runs) as part:
        (part / "train").mkdir()
        (part / "evaluate").mkdir()
        with named(variants, "ten", part / "ten.yaml") as path:
            ten = merge(defaults, {"data": {"classes": zoo["ten"]["classes"]}})
            checked(ten, path)
        for group in ("cheap", "dear", "ten"):
            common = ten if group == "ten" else defaults
            for name, differences in zoo[group]["variants"].items():
                for seed in zoo[group]["seeds"]:
                    with named(variants, name, part / "evaluate" / f"{name}-{seed}.yaml") as path:
                        if "data" in everywhere or "data" in differences:
                            raise UserError(f"{path}: data: the zoo takes the data as it is")
                        own = {"train": {"seed": seed}}
                        write(
                            merge(common, everywhere, differences, own),
                            path,
                            part / "train" / path.name,
                        )


@contextlib.contextmanager
def named(variants: Path, name: str, path: Path) -> Iterator[Path]:
    """Give the path; have errors name what they are about, rather than it."""
    try:
        yield path
    except UserError as error:
        raise UserError(str(error).replace(str(path), f"{variants}: {name}")) from error
    except KeyError as error:
        raise UserError(f"{variants}: {name}: has no {error}") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(f"{variants}: {name}: has no {{group: {{key: value}}}}") from error


def merge(*each: dict[str, Any]) -> dict[str, Any]:
    """Return settings in which the later groups' keys go before the earlier ones'."""
    result: dict[str, Any] = {}
    for settings in copy.deepcopy(each):
        for group, values in settings.items():
            result.setdefault(group, {}).update(values)
    return result


def checked(settings: dict[str, Any], path: Path) -> params.Params:
    """Write a settings file, and read it as the stages will."""
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return params.load(path)


def write(run: dict[str, Any], evaluate: Path, train: Path) -> None:
    """Write the settings of a run; they also tell when the code of its network is another."""
    network = checked(run, evaluate).model.name
    taken = models.config_keys(network)
    run["model"] |= {key: value for key, value in MODEL.items() if key not in taken}
    if run["train"]["optimizer"] != "sgd":
        run["train"] |= SGD
    code = Path(models.__file__).with_name(f"{network}.py")
    checksum = hashlib.md5(code.read_bytes()).hexdigest()
    for path, settings in ((evaluate, run), (train, run | {"evaluation": EVALUATION})):
        text = yaml.safe_dump(settings, sort_keys=False)
        path.write_text(f"# {code.name}: {checksum}\n{text}")


if __name__ == "__main__":
    _stage.run(
        main,
        __doc__,
        settings="the project's settings file",
        variants="the zoo's settings file",
        runs="the folder to write a settings file per run to",
    )
