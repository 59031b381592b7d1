"""`cifar2`, beside finished results: in this process, where another one shows nothing more."""

import csv
import io
import json
import os
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from cifar2 import __main__ as cifar2_main
from cifar2 import environment
from cifar2.data import dataset, pictures
from cifar2.report import results
from tests.conftest import ROOT, contents, edit, run

CIFAR2 = [sys.executable, "-m", "cifar2"]
Command = Callable[..., str]


@pytest.fixture
def cifar2(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Give a function that runs the command, checks its status, and returns what it prints."""
    monkeypatch.chdir(finished)
    monkeypatch.setattr(environment, "prepare", lambda: None)  # too late here

    def command(*words: str | Path, status: int = 0) -> str:
        assert cifar2_main.main([str(word) for word in words]) == status
        return "".join(capsys.readouterr())

    return command


@pytest.fixture
def bird(tmp_path: Path) -> Path:
    path = tmp_path / "bird.png"
    Image.new("RGB", (60, 40), "green").save(path)
    return path


def read(table: Path) -> list[dict[str, str]]:
    with open(table, newline="") as file:
        return list(csv.DictReader(file))


def test_val_images_get_the_answers_of_the_evaluation(
    cifar2: Command, finished: Path, tmp_path: Path
) -> None:
    (tmp_path / "png").mkdir()
    for index, pixels in enumerate(dataset.load(finished / "data/cifar2/val.pt").images):
        image = Image.fromarray(pixels.permute(1, 2, 0).numpy())
        image.save(tmp_path / f"png/{index:05}.png")
    expected = results.read_predictions(finished / "plots/predictions.csv")
    lines = cifar2("predict", tmp_path / "png", "--csv", tmp_path / "png.csv").splitlines()
    rows = read(tmp_path / "png.csv")
    files = [str(tmp_path / f"png/{index:05}.png") for index in range(len(expected))]
    assert [line.split()[0] for line in lines] == [row["file"] for row in rows] == files
    assert [row["class"] for row in rows] == [each.predicted for each in expected]
    assert [row[row["class"]] for row in rows] == [f"{each.confidence:.4f}" for each in expected]


def test_answers_as_lines_and_as_json(cifar2: Command, bird: Path) -> None:
    lines = cifar2("predict", bird, bird).splitlines()
    assert lines[0] == lines[1]
    name, label, probability, other_label, other = lines[0].split()
    assert name == str(bird) and float(probability) >= float(other)
    (answer,) = json.loads(cifar2("predict", bird, "--json"))
    expected = {label: float(probability), other_label: float(other)}
    assert answer == {"file": name, "class": label, "probabilities": expected}
    assert list(answer["probabilities"]) == ["airplane", "bird"]


def test_options_reach_the_network(cifar2: Command, tmp_path: Path) -> None:
    path = tmp_path / "from-black-to-white.png"
    gradient = Image.linear_gradient("L").transpose(Image.Transpose.ROTATE_90)
    gradient.resize((96, 32)).convert("RGB").save(path)
    answers = {cifar2("predict", path, "--fit", fit) for fit in ("crop", "pad", "stretch")}
    assert len(answers) == 3
    assert cifar2("predict", path, "--mirror") not in answers


def test_contact_sheet_draws_names_as_they_are(cifar2: Command, bird: Path, tmp_path: Path) -> None:
    """Letters that matplotlib's first font lacks are drawn in another one."""
    sheets = set()
    for name in "Ⓐ$_{$鳥.png", "Ⓑ$_{$鳥.png":
        with warnings.catch_warnings(action="error"):
            cifar2("predict", bird.rename(tmp_path / name), "--plot", tmp_path / "new/sheet.png")
        bird = tmp_path / name
        sheets.add((tmp_path / "new/sheet.png").read_bytes())
    assert len(sheets) == 2
    assert Image.open(io.BytesIO(sheets.pop())).width == 1000


@pytest.mark.skipif(sys.platform != "linux", reason="these names are not possible")
def test_names_are_printable_in_every_output(
    cifar2: Command, bird: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [os.fsdecode(name) for name in (b"v\xf6\n.png", b"\x1b[31m.png")] + ["鳥.png"]
    for name in names:
        (tmp_path / name).write_bytes(bird.read_bytes())
    words = ["predict", "no\n", *names, "--csv", "new/answers.csv", "--model"]
    words.append(str(cifar2_main.MODEL.absolute()))
    monkeypatch.chdir(tmp_path)
    said = cifar2(*words, "--json", status=2).removesuffix("cifar2: no\\n: no such file\n")
    expected = [r"v\xf6\n.png", r"\x1b[31m.png", "鳥.png"]
    assert [each["file"] for each in json.loads(said)] == expected
    assert [row["file"] for row in read(tmp_path / "new/answers.csv")] == expected
    printed = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", printed)
    cifar2(*words, status=2)
    printed.seek(0)
    assert [line.split()[0] for line in printed] == [*expected[:2], r"\u9ce5.png"]


def test_stop_keeps_the_answers(
    cifar2: Command, bird: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table has them while the command runs."""
    image, table = pictures.read(bird, 32), tmp_path / "answers.csv"

    def picture_or_stop(path: Path, size: int) -> Image.Image:
        if path.name == "last.png":
            assert len(read(table)) == 100
            raise KeyboardInterrupt
        return image

    monkeypatch.setattr(pictures, "read", picture_or_stop)
    words = ["predict", *[bird] * 150, "last.png", bird, "--csv", table, "--json"]
    said = cifar2(*words, status=130)
    answers = said.removesuffix("cifar2: stopped after 100 of 152 pictures\n")
    assert len(json.loads(answers)) == len(read(table)) == 100


def test_weights_of_the_book_load_with_the_name_of_their_architecture(
    cifar2: Command, bird: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = shutil.copy("models/model.pt", tmp_path / "birds.pt")
    words = ["predict", bird, "--model", weights]
    reason = "no such file; `--architecture NAME`, such as net, says what the weights are"
    assert cifar2(*words, status=2) == f"cifar2: {tmp_path}/birds.json: {reason}\n"
    words += ["--architecture", "net"]
    assert cifar2(*words) == cifar2("predict", bird)
    said = cifar2("predict", bird, "--architecture", "net", status=2)
    assert "model.json already says what the weights are" in said
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    edit(Path("params.yaml"), "source: auto", "source: birds")
    assert "how its pictures were normalized is in" in cifar2(*words, status=2)
    Path("params.yaml").unlink()
    assert "params.yaml, which has its options, is not here" in cifar2(*words, status=2)


# What the user can get wrong: a line each, status 2


def test_pictures_that_cannot_be_read_are_named_and_passed_over(
    cifar2: Command, bird: Path, tmp_path: Path
) -> None:
    text, part = tmp_path / "text.png", tmp_path / "part.jpg"
    text.write_text("a bird")
    Image.effect_noise((200, 200), 50).save(part)
    part.write_bytes(part.read_bytes()[:2000])
    (tmp_path / "empty").mkdir()
    paths = ["no.png", tmp_path / "empty", text, bird, part]
    said = cifar2("predict", *paths, "--csv", tmp_path / "answers.csv", status=2)
    assert "cifar2: no.png: no such file\n" in said
    assert f"cifar2: {tmp_path / 'empty'}: no pictures in this folder\n" in said
    assert f"cifar2: {text}: not a picture that Pillow knows\n" in said
    assert f"cifar2: {part}: damaged (" in said
    assert len(said.splitlines()) == 5
    assert [row["file"] for row in read(tmp_path / "answers.csv")] == [str(bird)]


def test_other_mistakes_are_named(
    cifar2: Command, bird: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = cifar2("predict", bird, "--csv", bird / "out.csv", status=2)
    assert said.splitlines()[-1].startswith(f"cifar2: {bird}")
    monkeypatch.setitem(sys.modules, "onnx", None)
    said = cifar2("export", "model.onnx", status=2)
    assert said == "cifar2: onnx is not installed; it is in the extra [onnx]\n"
    monkeypatch.chdir(tmp_path)
    said = cifar2("export", "model.onnx", status=2)
    assert said == "cifar2: models/model.pt: no such file; `dvc repro` makes it\n"


@pytest.mark.parametrize(
    "words, said",
    [
        (["export", "model.pt"], "not a file to write; name one"),
        (["export", "model.onnx"], "this command reads it; "),
        (["predict", "bird.png", "--csv", "folder.csv"], "not a file to write; name one"),
        (["predict", "bird.png", "--csv", "model.csv"], "this command reads it; "),
        (["predict", ".", "--plot", "bird.png"], "this command reads it; "),
        (["predict", "bird.png", "--plot", "cached.png"], "write-protected; "),
    ],
)
def test_no_output_is_written_over_an_input_or_another_kind_of_file(
    words: list[str], said: str, cifar2: Command, bird: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused before the network is loaded: this one is none."""
    monkeypatch.chdir(bird.parent)
    for name in "model.pt", "model.json", "cached.png":
        Path(name).write_text(name)
    Path("cached.png").chmod(0o444)
    Path("model.onnx").symlink_to("model.pt")
    Path("model.csv").hardlink_to("model.json")
    Path("folder.csv").mkdir()
    before = contents(bird.parent)
    lines = cifar2(*words, "--model", "model.pt", status=2).splitlines()
    assert len(lines) == 1 and lines[0].startswith(f"cifar2: {words[-1]}: {said}")
    assert contents(bird.parent) == before


def test_standard_input_and_a_reader_that_ends_early(
    cifar2: Command, finished: Path, bird: Path
) -> None:
    words = " ".join([*CIFAR2, "predict", "-", *[str(bird)] * 300])
    command = f"set -o pipefail; cat {bird} | {words} | head -n 1"
    said = run("bash", "-c", command, cwd=finished)
    assert said.count("\n") == 1
    assert said.split() == ["-", *cifar2("predict", bird).split()[1:]]


def test_help_needs_no_torch_and_threads_of_openmp_do_not_spin(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenMP reads the variable when torch is imported."""
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    policy = "import os, sys; sys.exit(os.environ['OMP_WAIT_POLICY'])"
    (tmp_path / "torch.py").write_text(policy)
    env = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "src")])}
    assert "the network sees" in run(*CIFAR2, "predict", "--help", cwd=finished, env=env)
    assert run(*CIFAR2, "predict", "a.png", cwd=finished, env=env, status=1) == "PASSIVE\n"
