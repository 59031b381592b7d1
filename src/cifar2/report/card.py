"""A model card: what a trained network is, what it can do, what it can't, and how to load it.

The fields above the text are those of Hugging Face's model cards (Mitchell et al., *Model Cards for
Model Reporting*, 2019, has the idea), so that the folder can be uploaded as it is.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

import yaml

from cifar2 import models
from cifar2.params import BUILT_IN, Params
from cifar2.report.results import SURE, Accuracy, OtherClass

if TYPE_CHECKING:
    from cifar2.data.dataset import Preparation

ABOUT = {"cifar10": "CIFAR-10", "synthetic": "a synthetic stand-in for CIFAR-10"}


def card(
    run: Params,
    scores: Sequence[Accuracy],
    seeds: Sequence[int],
    others: Sequence[OtherClass],
    preparation: Preparation | None = None,
) -> str:
    """Return the card, in Markdown, of a network or of one setting with several seeds.

    Args:
        run: the settings, but for the seed.
        scores: those of each seed.
        others: what a network says of each other class and of all, if there are any.
        preparation: of the pictures, if it isn't that of CIFAR-10.
    """
    first = scores[0]
    classes = " or ".join(f"`{name}`" for name in first.classes)
    size = preparation.size if preparation else 32
    network = models.get_model(run.model.name, len(first.classes), size, **run.model.config())
    parameters = sum(parameter.numel() for parameter in network.parameters())
    own, takes = f"the pictures in `sources/{first.dataset}`", ""
    if preparation:
        mean, std = preparation.mean, preparation.std
        takes = f" Its input is red, green and blue from 0 to 1, minus {mean}, divided by {std}."
    parts = [
        f"---\n{yaml.safe_dump(_fields(run, scores), sort_keys=False)}---",
        f"# `{first.model}`: {classes}?",
        f"A network that says which of these classes a picture of {size}×{size} pixels shows. Its"
        f" architecture is `{first.model}`, of {parameters:,} parameters."
        f" It was trained on {ABOUT.get(first.dataset, own)}." + takes,
        "## How good it is",
        _accuracies(scores),
        _explained(run, scores, seeds),
        "## What it must not be used for",
        _limits(first.dataset, others),
        "## How to load it",
        _loading(run.evaluation.mirror),
        "## How it was trained",
        _settings(run, seeds),
    ]
    return "\n\n".join(parts) + "\n"


def _fields(run: Params, scores: Sequence[Accuracy]) -> dict[str, object]:
    """Return the fields that Hugging Face reads."""
    first = scores[0]
    fields: dict[str, object] = {
        "license": "mit",
        "library_name": "pytorch",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "pytorch"] + ["cifar-10"] * (first.dataset == "cifar10"),
    }
    if first.dataset != "cifar10":  # numbers on the stand-in say nothing about others
        return fields
    fields |= {"datasets": ["uoft-cs/cifar10"], "metrics": ["accuracy"]}
    tested = [each.test if run.data.holdout else each.val for each in scores]
    accuracies = [each.accuracy for each in tested if each]
    if not accuracies:
        return fields
    name = f"CIFAR-10 ({', '.join(first.classes)})"
    mean = round(statistics.mean(accuracies), 6)
    result = {
        "task": {"type": "image-classification"},
        "dataset": {"type": "uoft-cs/cifar10", "name": name, "split": "test"},
        "metrics": [{"type": "accuracy", "value": mean}],
    }
    return fields | {"model-index": [{"name": f"cifar2-{first.model}", "results": [result]}]}


def _accuracies(scores: Sequence[Accuracy]) -> str:
    rows = {"train": [each.train.accuracy for each in scores]}
    for part in ("val", "test"):
        measured = [found for each in scores if (found := getattr(each, part))]
        if measured:
            rows[part] = [each.accuracy for each in measured]
            for name in scores[0].classes:
                own = [found for each in measured if (found := each.per_class[name]) is not None]
                if own:  # else there is no image of this class
                    rows[f"{part}, `{name}` alone"] = own
    lines = ["| images | accuracy |", "|---|---:|"]
    for name, values in rows.items():
        deviation = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
        lines.append(f"| {name} | {statistics.mean(values):.4f}{deviation} |")
    return "\n".join(lines)


def _explained(run: Params, scores: Sequence[Accuracy], seeds: Sequence[int]) -> str:
    said = []
    if scores[0].dataset == "cifar10" and not run.data.holdout:
        said.append("Val is CIFAR-10's test batch.")
    elif scores[0].dataset == "cifar10":
        said.append("The val images were set apart from CIFAR-10's train batches.")
        said += ["The test images are its test batch."] if scores[0].test else []
    elif scores[0].dataset not in ABOUT and run.data.holdout:
        said.append("The val pictures were set apart by their content.")
    if len(seeds) > 1:
        said.append(
            f"The figures are the mean and the standard deviation over {len(seeds)} networks, which"
            f" differ in their seed: {', '.join(map(str, seeds))}."
        )
    return " ".join(said)


def _limits(dataset: str, others: Sequence[OtherClass]) -> str:
    whose = " CIFAR-10's" if dataset == "cifar10" else ""
    sure = ""
    if others:
        sure = (
            f" Shown {others[-1].images:,} images of{whose} other classes, it gave its answer a"
            f" probability above {SURE} for {100 * others[-1].sure:.1f}% of them."
        )
    return f"""\
- For pictures of anything else. It has no answer for "neither", and gives each picture\
 one of its classes.{sure}
- For decisions that matter to somebody. It is an example to learn from.
- To tell how certain an answer is. Its probabilities are not calibrated."""


def _loading(mirror: bool) -> str:
    """Say how the network is asked; with `mirror` as it was measured, with mirror images."""
    return f"""\
The names of the weights, in `model.pt`, are those of the network's file in
`src/cifar2/models/`. `model.json` beside it has the settings, the classes and the normalization.

```python
from cifar2.deployment.prediction import predict
from cifar2.inference import checkpoint

network, card = checkpoint.load("model.pt")
for answer in predict(["photo.jpg"], network, card{", mirror=True" if mirror else ""}):
    print(answer.label, answer.probability)
```

In a shell: `cifar2 predict{" --mirror" if mirror else ""} --model model.pt photo.jpg`."""


def _settings(run: Params, seeds: Sequence[int]) -> str:
    """Return the settings that the training and the measurement used, as `params.yaml` has them."""
    seed = {"seed": seeds[0] if len(seeds) == 1 else list(seeds)}
    groups = {
        "model": run.model.model_dump(exclude=run.model.unused()),
        "train": run.train.model_dump(exclude=run.train.unused() | {"device", "seed"}) | seed,
        "regularization": run.regularization.model_dump(),
        "augment": run.augment.model_dump(),
        "evaluation": {"mirror": run.evaluation.mirror},
    }
    data: dict[str, object] = {}
    if run.data.source not in BUILT_IN:
        data = run.data.model_dump(include={"source", "size", "fit"})
    if run.data.holdout:
        data |= {"holdout": run.data.holdout, "fold": run.data.fold}
    groups |= {"data": data} if data else {}
    return f"```yaml\n{yaml.safe_dump(groups, sort_keys=False, default_flow_style=None)}```"
