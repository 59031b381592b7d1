"""Which runs `compare` compares, and what it writes."""

import json
import shlex
from pathlib import Path

import pytest
import yaml

from cifar2.errors import FileError, UserError
from cifar2.report import results
from tests.conftest import ZOO_STAGES, contents, write
from zoo import compare as compare_stage

EPOCHS = 2
ZOO = {
    "common": {},
    "quick": {"seeds": [1, 3], "variants": {"baseline": {}, "width": {}, "new": {}}},
    "middle": {"seeds": [], "variants": {}},
    "slow": {"seeds": [], "variants": {}},
    "ten_classes": {"seeds": [1], "classes": ["bird", "cat"], "variants": {"other": {}}},
    "trials": {"holdout": 0.2, "seeds": [], "variants": {}},
    "neither": [],
    "book": {"width": {"train": 0.96, "val": 0.9}},
}
MODELS = {"baseline": "net", "width": "netwidth", "new": "net", "other": "vgg"}


def write_run(
    zoo: Path,
    name: str,
    right: int,
    *,
    epochs: int = EPOCHS,
    dataset: str = "cifar10",
    classes: tuple[str, str] = ("airplane", "bird"),
) -> Path:
    """Write the results of a run that answers so many of ten images right; return its folder."""
    settings = zoo / "settings/evaluate" / f"{name}.yaml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    write(settings, model__name=MODELS[name.partition("-")[0]], train__epochs=EPOCHS)
    folder = zoo / "runs" / name
    accuracy = right / 10
    result = results.Accuracy(
        dataset=dataset,
        model=MODELS[name.partition("-")[0]],
        train=results.Scores(accuracy=accuracy, loss=1),
        val=results.ClassScores(accuracy=accuracy, loss=1, per_class=dict.fromkeys(classes, 0.5)),
    )
    results.write_accuracy(folder / "accuracy.json", result)
    rows = []
    for image in range(10):
        actual, other = classes if image % 2 else classes[::-1]
        rows.append(
            results.Prediction(image, actual, actual if image < right else other, confidence=0.9)
        )
    results.write_predictions(folder / "predictions.csv", rows)
    for part in ("train", "val"):
        for quantity in ("loss", "accuracy"):
            table = folder / "training/plots/metrics" / part / f"{quantity}.tsv"
            table.parent.mkdir(parents=True, exist_ok=True)
            lines = [f"{epoch}\t{accuracy}\n" for epoch in range(1, epochs + 1)]
            table.write_text(f"step\t{quantity}\n" + "".join(lines))
    return folder


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """Give a zoo with two runs of `baseline`, one of `width`, and one on other classes."""
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(ZOO, sort_keys=False))
    write_run(tmp_path, "baseline-1", right=7)
    write_run(tmp_path, "baseline-3", right=8)
    write_run(tmp_path, "width-3", right=9)
    write_run(tmp_path, "other-1", right=5, classes=("bird", "cat"))
    return tmp_path


def compare(zoo: Path) -> dict[str, bytes]:
    """Compare in this process; return the outputs."""
    _, _, _, *options = shlex.split(ZOO_STAGES["compare"]["cmd"])
    compare_stage.main(
        **{
            option.removeprefix("--").replace("-", "_"): zoo / path
            for option, path in zip(options[::2], options[1::2], strict=True)
        }
    )
    top = ("settings/", "runs/")
    return {name: content for name, content in contents(zoo).items() if not name.startswith(top)}


def test_results_are_means_over_seeds(zoo: Path) -> None:
    summary = json.loads(compare(zoo)["results.json"])
    assert list(summary) == ["baseline", "width", "other"]
    assert summary["baseline"]["val"] == {"mean": 0.75, "std": 0.070711, "seeds": [0.7, 0.8]}
    assert summary["width"]["val"] == {"mean": 0.9, "std": None, "seeds": [0.9]}
    assert summary["width"]["parameters"] == 38_386
    assert summary["width"]["epochs"] == EPOCHS


def test_table_has_the_book_s_figures(zoo: Path) -> None:
    row = "| `width` | 38,386 | 2 | 1 | 0.9000 | 0.9000 | 0.96, 0.90 |"
    assert row in compare(zoo)["table.md"].decode().splitlines()


def test_card_of_a_variant_has_the_spread_over_its_seeds(zoo: Path) -> None:
    cards = {name: content.decode() for name, content in compare(zoo).items() if "cards" in name}
    assert "| val | 0.7500 ± 0.0707 |" in cards["cards/baseline.md"]
    assert "2 networks, which differ in their seed: 1, 3." in cards["cards/baseline.md"]
    assert "| val | 0.9000 |" in cards["cards/width.md"]


def test_figures_of_the_book_are_left_out_where_val_is_other_images(zoo: Path) -> None:
    for path in (zoo / "settings/evaluate").iterdir():
        content = yaml.safe_load(path.read_text())
        content["data"]["holdout"] = 0.2
        path.write_text(yaml.safe_dump(content))
    assert "0.96, 0.90" not in compare(zoo)["table.md"].decode()


def test_pairs_are_of_the_variants_on_the_same_images(zoo: Path) -> None:
    header, *rows = compare(zoo)["pairs.csv"].decode().splitlines()
    assert header == "a,b,difference,low,high,real"
    assert [row.split(",")[:3] for row in rows] == [["baseline", "width", "-0.15000"]]


def test_outputs_have_the_same_bytes_every_time(zoo: Path) -> None:
    first = compare(zoo)
    assert set(first) == {
        "params.yaml",
        "results.json",
        "table.md",
        "pairs.csv",
        "accuracy.png",
        "curves.png",
        "pairs.png",
        "cards/baseline.md",
        "cards/width.md",
        "cards/other.md",
    }
    assert compare(zoo) == first


def test_run_that_is_not_trained_to_its_end_is_left_out(zoo: Path) -> None:
    """It may still have the accuracy of an earlier training, with other settings."""
    write_run(zoo, "width-3", right=9, epochs=EPOCHS - 1)
    assert list(json.loads(compare(zoo)["results.json"])) == ["baseline", "other"]


def test_no_finished_run_is_an_error(zoo: Path) -> None:
    for name in ("baseline-1", "baseline-3", "width-3"):
        (zoo / "runs" / name / "accuracy.json").unlink()
    with pytest.raises(UserError, match=r"^no run is finished yet$"):
        compare(zoo)


@pytest.mark.parametrize("other", [{"dataset": "synthetic"}, {"classes": ("airplane", "cat")}])
def test_runs_on_different_images_are_an_error(other: dict[str, str], zoo: Path) -> None:
    write_run(zoo, "width-1", right=9, **other)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"^width-1 was not measured on the images of the others$"):
        compare(zoo)


def test_damaged_run_is_named(zoo: Path) -> None:
    path = zoo / "runs/baseline-1/predictions.csv"
    path.write_text("image\n0\n")
    with pytest.raises(FileError) as caught:
        compare(zoo)
    assert str(caught.value) == f"{path}: damaged ('actual')"


def test_wrong_settings_leave_the_former_outputs(zoo: Path) -> None:
    before = compare(zoo)
    (zoo / "params.yaml").write_text(yaml.safe_dump(ZOO | {"book": {"width": {"val": 0.9}}}))
    with pytest.raises(UserError, match=r"params\.yaml: book\.width\.train: missing$"):
        compare(zoo)
    after = contents(zoo)
    assert {name for name in before if before[name] != after[name]} == {"params.yaml"}
