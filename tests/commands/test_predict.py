"""`cifar2 predict`, typed beside finished results."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from cifar2.data import dataset
from cifar2.report import results
from tests.conftest import environment, run

CIFAR2 = [sys.executable, "-m", "cifar2"]


@pytest.fixture
def here(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(finished)
    return finished


@pytest.fixture
def bird(tmp_path: Path) -> Path:
    path = tmp_path / "bird.png"
    Image.new("RGB", (60, 40), "green").save(path)
    return path


def predict(folder: Path, *words: str | Path, status: int = 0) -> str:
    return run(*CIFAR2, "predict", *words, cwd=folder, status=status)


def val_images(folder: Path) -> list[Image.Image]:
    images = dataset.load(folder / "data/cifar2/val.pt").images
    return [Image.fromarray(pixels.permute(1, 2, 0).numpy()) for pixels in images]


def read(table: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table.read_text())))


def test_val_images_get_the_answers_of_the_evaluation(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "val"
    folder.mkdir()
    for index, image in enumerate(val_images(finished)):
        image.save(folder / f"{index:05}.png")
    predict(finished, folder, "--csv", tmp_path / "answers.csv")
    expected = results.read_predictions(finished / "plots/predictions.csv")
    rows = read(tmp_path / "answers.csv")
    assert [row["class"] for row in rows] == [each.predicted for each in expected]
    confidences = [f"{each.confidence:.4f}" for each in expected]
    assert [row[row["class"]] for row in rows] == confidences


def test_val_images_enlarged_and_as_jpeg_get_nearly_the_same_answers(
    finished: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "val"
    folder.mkdir()
    for index, image in enumerate(val_images(finished)):
        image.resize((256, 256), Image.Resampling.NEAREST).save(folder / f"{index:05}.jpg")
    predict(finished, folder, "--csv", tmp_path / "answers.csv")
    expected = results.read_predictions(finished / "plots/predictions.csv")
    pairs = zip(read(tmp_path / "answers.csv"), expected, strict=True)
    same = sum(row["class"] == each.predicted for row, each in pairs)
    assert same >= 0.99 * len(expected)


def test_a_line_a_picture(finished: Path, bird: Path) -> None:
    lines = predict(finished, bird, bird).splitlines()
    assert lines[0] == lines[1]
    name, first, probability, second, other = lines[0].split()
    assert name == str(bird)
    assert {first, second} == {"airplane", "bird"}
    assert float(probability) >= float(other)
    assert float(probability) + float(other) == pytest.approx(1, abs=1e-4)


def test_standard_input(finished: Path, bird: Path) -> None:
    done = subprocess.run(
        [*CIFAR2, "predict", "-"],
        cwd=finished,
        input=bird.read_bytes(),
        capture_output=True,
        check=True,
        env=environment(),
    )
    assert done.stdout.decode() == predict(finished, bird).replace(str(bird), "-")


def test_json_has_every_probability(finished: Path, bird: Path) -> None:
    (answer,) = json.loads(predict(finished, bird, "--json"))
    assert answer["file"] == str(bird)
    assert list(answer["probabilities"]) == ["airplane", "bird"]
    assert answer["class"] == max(answer["probabilities"], key=answer["probabilities"].get)


def test_options_reach_the_network(finished: Path, tmp_path: Path) -> None:
    path = tmp_path / "from-black-to-white.png"
    gradient = Image.linear_gradient("L").transpose(Image.Transpose.ROTATE_90)
    gradient.resize((96, 32)).convert("RGB").save(path)
    answers = {predict(finished, path, "--fit", fit) for fit in ("crop", "pad", "stretch")}
    assert len(answers) == 3
    assert predict(finished, path, "--mirror") not in answers


def test_contact_sheet(finished: Path, bird: Path, tmp_path: Path) -> None:
    predict(finished, *[bird] * 41, "--plot", tmp_path / "new/sheet.png")
    with Image.open(tmp_path / "new/sheet.png") as sheet:
        assert sheet.width == 1000


# What the user can get wrong: a line each, status 2


def test_pictures_that_cannot_be_read_are_named_and_passed_over(
    finished: Path, bird: Path, tmp_path: Path
) -> None:
    text, part = tmp_path / "text.png", tmp_path / "part.jpg"
    text.write_text("a bird")
    Image.effect_noise((200, 200), 50).save(part)
    part.write_bytes(part.read_bytes()[:2000])
    table = tmp_path / "answers.csv"
    said = predict(finished, text, bird, part, "--csv", table, status=2)
    assert f"cifar2: {text}: not a picture that Pillow knows\n" in said
    assert f"cifar2: {part}: damaged (" in said
    assert len(said.splitlines()) == 3
    assert [row["file"] for row in read(table)] == [str(bird)]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads any file")
def test_picture_without_permission_is_passed_over(finished: Path, bird: Path) -> None:
    bird.chmod(0)
    assert predict(finished, bird, status=2) == f"cifar2: {bird}: Permission denied\n"


def test_missing_picture(finished: Path) -> None:
    assert predict(finished, "no.png", status=2) == "cifar2: no.png: no such file\n"


def test_folder_without_pictures(finished: Path, tmp_path: Path) -> None:
    said = predict(finished, tmp_path, status=2)
    assert said == f"cifar2: {tmp_path}: no pictures in this folder\n"


def test_no_model_yet(bird: Path, tmp_path: Path) -> None:
    said = predict(tmp_path, bird, status=2)
    assert said == "cifar2: models/model.pt: no such file; `dvc repro` makes it\n"


def test_model_of_another_architecture(finished: Path, bird: Path, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes((finished / "models/model.pt").read_bytes())
    card = json.loads((finished / "models/model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(card | {"model": "netres"}))
    said = predict(finished, bird, "--model", tmp_path / "model.pt", status=2)
    assert "model.pt: not a trained network (Error(s) in loading state_dict for NetRes" in said
    assert said.count("\n") == 1


def test_model_of_other_classes(finished: Path, bird: Path, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes((finished / "models/model.pt").read_bytes())
    card = json.loads((finished / "models/model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(card | {"classes": ["a", "b", "c"]}))
    said = predict(finished, bird, "--model", tmp_path / "model.pt", status=2)
    assert "model.pt: not a trained network" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("option", ["--csv", "--plot"])
def test_output_that_cannot_be_written(
    option: str, finished: Path, bird: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    said = predict(finished, bird, option, tmp_path / "file" / "out", status=2)
    assert said.splitlines()[-1].startswith(f"cifar2: {tmp_path / 'file'}")
    assert (tmp_path / "file").read_bytes() == b""


def test_reader_that_ends_early(finished: Path, bird: Path) -> None:
    words = " ".join([*CIFAR2, "predict", *[str(bird)] * 300])
    said = run("bash", "-c", f"set -o pipefail; {words} | head -n 1", cwd=finished)
    assert said.count("\n") == 1


def test_threads_of_openmp_do_not_spin_unless_the_user_says_so(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenMP reads the variable when torch is imported."""
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    (tmp_path / "torch.py").write_text(
        "import os, sys; sys.exit(os.environ.get('OMP_WAIT_POLICY'))"
    )
    for env, policy in ({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE"):
        env["PYTHONPATH"] = str(tmp_path)
        said = run(*CIFAR2, "predict", "a.png", cwd=finished, env=env, status=1)
        assert said == f"{policy}\n"


def test_help_needs_no_torch(finished: Path) -> None:
    code = "import sys, cifar2.__main__ as m; m._parser(); sys.exit('torch' in sys.modules)"
    run(sys.executable, "-c", code, cwd=finished)


# Export


def test_exported_network_gives_the_answers_of_the_evaluation(
    finished: Path, tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra cifar2[onnx]")
    path = tmp_path / "model.onnx"
    assert run(*CIFAR2, "export", path, cwd=finished) == ""
    images = dataset.load(finished / "data/cifar2/val.pt").images
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(["probabilities"], {"pixels": images.numpy()})
    expected = results.read_predictions(finished / "plots/predictions.csv")
    classes = ["airplane", "bird"]
    answers = [classes[index] for index in probabilities.argmax(axis=1)]
    assert answers == [each.predicted for each in expected]


def test_export_without_its_packages(finished: Path, tmp_path: Path) -> None:
    code = "import sys; sys.modules['onnx'] = None; import cifar2.__main__ as m; sys.exit(m.main())"
    words = ["export", str(tmp_path / "model.onnx")]
    said = run(sys.executable, "-c", code, *words, cwd=finished, status=2)
    assert said == "cifar2: onnx is not installed; it is in the extra [onnx]\n"


def test_export_without_a_model(tmp_path: Path) -> None:
    said = run(*CIFAR2, "export", "model.onnx", cwd=tmp_path, status=2)
    assert said == "cifar2: models/model.pt: no such file; `dvc repro` makes it\n"
