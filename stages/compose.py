"""Write the settings of each run of the zoo: the project's, its variant's, its seed."""

import copy
import hashlib
from pathlib import Path
from typing import Any

import _stage
import yaml

from cifar2 import UserError, files, models, params

# What a run does not read stands at one value each, so that another default trains nothing: the
# data's settings, since a run takes the images of the main pipeline as they are; the settings of
# other networks; those of other optimizers.
DATA = {"classes": ["airplane", "bird"], "source": "auto"}
MODEL: dict[str, Any] = {"n_chans1": 2, "n_blocks": 1, "dropout": 0.0, "shared_blocks": False}
SGD = {"momentum": 0.0, "nesterov": False}


def main(settings: Path, variants: Path, runs: Path) -> None:
    params.load(settings)
    defaults = yaml.safe_load(settings.read_bytes()) | {"data": DATA}
    zoo = yaml.safe_load(variants.read_bytes())
    with files.folder(runs) as part:
        for group in (zoo["cheap"], zoo["dear"]):
            for name, differences in group["variants"].items():
                for seed in group["seeds"]:
                    path = part / f"{name}-{seed}.yaml"
                    try:
                        if "data" in zoo["all"] or "data" in differences:
                            raise UserError(f"{path}: data: the zoo takes the data as it is")
                        own = {"train": {"seed": seed}}
                        write(merge(defaults, zoo["all"], differences, own), path)
                    except UserError as error:
                        said = str(error).replace(str(path), f"{variants}: {name}")
                        raise UserError(said) from error
                    except (AttributeError, TypeError, ValueError) as error:
                        raise UserError(
                            f"{variants}: {name}: has no {{group: {{key: value}}}}"
                        ) from error


def merge(*each: dict[str, Any]) -> dict[str, Any]:
    """Return settings in which the later groups' keys go before the earlier ones'."""
    result: dict[str, Any] = {}
    for settings in copy.deepcopy(each):
        for group, values in settings.items():
            result.setdefault(group, {}).update(values)
    return result


def write(run: dict[str, Any], path: Path) -> None:
    """Write a settings file that also tells when the code of its network is another."""
    path.write_text(yaml.safe_dump(run, sort_keys=False))
    network = params.load(path).model.name
    taken = models.config_keys(network)
    run["model"] |= {key: value for key, value in MODEL.items() if key not in taken}
    if run["train"]["optimizer"] != "sgd":
        run["train"] |= SGD
    code = Path(models.__file__).with_name(f"{network}.py")
    checksum = hashlib.md5(code.read_bytes()).hexdigest()
    text = f"# {code.name}: {checksum}\n" + yaml.safe_dump(run, sort_keys=False)
    path.write_text(text)


if __name__ == "__main__":
    _stage.run(
        main,
        __doc__,
        settings="the project's settings file",
        variants="the zoo's settings file",
        runs="the folder to write a settings file per run to",
    )
