"""Nothing half-done, nothing lost, no traceback: full disks, kills, damaged and hostile files."""

import contextlib
import importlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cifar2 import UserError, checkpoint, cifar10, dataset, params, snapshot, synthetic
from tests.conftest import ROOT, STAGES, contents, environment, run, words, write

OUTPUTS = {
    "download": ["data/raw"],
    "filter": ["data/cifar2"],
    "train": ["models"],
    "evaluate": ["metrics", "plots/predictions.csv"],
    "plot": ["plots/loss.png", "plots/accuracy.png", "plots/mistakes.png"],
}


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """Give a copy of it."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "snapshots")  # so that `train` has something to do
    return tmp_path


def outputs(stage: str, folder: Path) -> dict[str, bytes]:
    """Return the outputs of a stage that are there, with what is in them."""
    found: dict[str, bytes] = {}
    for name in OUTPUTS[stage]:
        if (folder / name).is_dir():
            files = contents(folder / name).items()
            found |= {f"{name}/{file}": content for file, content in files}
        elif (folder / name).exists():
            found[name] = (folder / name).read_bytes()
    return {name: content for name, content in found.items() if ".part" not in name}


def remove(stage: str, folder: Path) -> None:
    for name in OUTPUTS[stage]:
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(at: Path, kibibytes: int) -> Iterator[None]:
    """Mount a small file system, with what lies there; take it away at the end."""
    aside = at.with_name("aside")
    at.mkdir(parents=True, exist_ok=True)
    shutil.copytree(at, aside)
    command = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(at)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small file system can't be mounted here: that takes root")
    try:
        shutil.copytree(aside, at, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", str(at)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "disk", "kibibytes", "full"),
    [
        ("download", "data", 60_000, "data/.raw.part/synthetic.npz"),
        ("filter", "data", 60_000, "data/.cifar2.part/train.pt"),
        ("train", "models", 8, "models/model.pt"),
        ("evaluate", "metrics", 0, "metrics/accuracy.json"),
        ("plot", "plots", 150, "plots/"),
    ],
)
def test_a_full_disk_is_one_line_and_leaves_nothing_half_done(
    stage: str, disk: str, kibibytes: int, full: str, folder: Path
) -> None:
    whole = outputs(stage, folder)
    remove(stage, folder)
    with small_disk(folder / disk, kibibytes or 4):
        if not kibibytes:
            (folder / disk / ".part").write_bytes(bytes(4096))
        said = run(*words(stage), cwd=folder, status=2)
        assert said.splitlines()[-1].startswith(f"{stage}: {full}")
        assert said.endswith(": No space left on device\n")
        assert "Traceback" not in said
        assert outputs(stage, folder).items() <= whole.items()
    run(*words(stage), cwd=folder)
    assert outputs(stage, folder) == whole


@pytest.mark.slow
def test_after_a_full_disk_a_plain_repro_gives_the_right_bytes(tidy: Path) -> None:
    shutil.rmtree(tidy / ".dvc/tmp/snapshots")
    shutil.rmtree(tidy / "models")
    with small_disk(tidy / "models", 8):
        said = run("dvc", "repro", "--force", "--single-item", "train", cwd=tidy, status=255)
        assert "train: models/model.pt: No space left on device" in said
        assert "Traceback" not in said
    assert not (tidy / "models/model.pt").exists()
    run("dvc", "repro", cwd=tidy)
    assert (tidy / "models/model.pt").exists()
    assert run("git", "status", "--porcelain", cwd=tidy) == ""


@pytest.mark.slow
@pytest.mark.parametrize("stage", OUTPUTS)
def test_a_folder_that_may_not_be_written_to(stage: str, folder: Path) -> None:
    whole = outputs(stage, folder)
    remove(stage, folder)
    places = {(folder / name).parent for name in OUTPUTS[stage]} | {folder / "models"}
    for place in places:
        place.mkdir(exist_ok=True)
        place.chmod(0o555)
    # Root may write anywhere, unless it gives that up.
    powers = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    as_user = powers if os.getuid() == 0 else []
    said = run(*as_user, *words(stage), cwd=folder, status=2)
    for place in places:
        place.chmod(0o755)
    assert said.splitlines()[-1].startswith(f"{stage}: ")
    assert said.endswith(": Permission denied\n")
    assert "Traceback" not in said
    assert outputs(stage, folder) == {}
    run(*words(stage), cwd=folder)
    assert outputs(stage, folder) == whole


@pytest.mark.slow
@pytest.mark.parametrize("stage", OUTPUTS)
def test_killed_at_any_moment_an_output_is_whole_or_absent(stage: str, folder: Path) -> None:
    whole = outputs(stage, folder)
    moments = random.Random(0)
    start = time.monotonic()
    run(*words(stage), cwd=folder)
    duration = time.monotonic() - start
    for _ in range(5):
        remove(stage, folder)
        process = subprocess.Popen(
            words(stage), cwd=folder, env=environment(), stderr=subprocess.DEVNULL
        )
        time.sleep(moments.uniform(0.5, 1) * duration)
        process.kill()
        process.wait()
        assert outputs(stage, folder).items() <= whole.items()
    run(*words(stage), cwd=folder)
    assert outputs(stage, folder) == whole


def test_a_stage_that_is_stopped_has_the_conventional_status(folder: Path) -> None:
    """While it waits to read from a pipe that gives nothing."""
    pipe = folder / "data" / "raw" / synthetic.FILE
    pipe.unlink()
    os.mkfifo(pipe)
    for number in (signal.SIGINT, signal.SIGTERM):
        process = subprocess.Popen(
            words("filter"), cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True
        )
        writer = open_when_read(pipe)
        for _ in range(60):  # Python overlooks a signal that comes just before a read begins
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=1)
                break
        _, said = process.communicate(timeout=1)
        os.close(writer)
        assert process.returncode == 128 + number
        assert said == f"filter: stopped by {number.name}\n"


def open_when_read(pipe: Path) -> int:
    """Open a pipe to write to, as soon as somebody has it open to read from."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        time.sleep(0.01)
    raise AssertionError("nobody reads")


def test_a_trainer_whose_dvc_was_killed_ends(folder: Path) -> None:
    write(folder / "params.yaml", train__epochs=1000, train__threads=1)
    shell = f"import subprocess, sys; subprocess.run({words('train')!r})"
    parent = subprocess.Popen(
        [sys.executable, "-c", shell],
        cwd=folder,
        env=environment(DVC_ROOT=str(folder)),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert parent.stderr is not None
        parent.stderr.readline()  # the first epoch is done
        parent.kill()
        _, said = parent.communicate(timeout=30)  # till the trainer, too, has closed it
        assert "train: stopped by SIGTERM after epoch " in said
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("stage", "file", "content", "reason"),
    [
        ("filter", "data/raw/synthetic.npz", b"", "is not the stand-in (No data left in file)"),
        ("train", "data/cifar2/train.pt", b"PK", "is damaged ("),
        ("train", "data/cifar2/val.pt", None, "no such file; `dvc repro` makes it"),
        ("evaluate", "models/model.pt", b"PK", "is damaged ("),
        ("evaluate", "models/model.json", b"[]", "is no trained network ("),
        ("plot", "metrics/accuracy.json", b"{}", "is damaged ('train'); `dvc repro -f`"),
        ("plot", "metrics/accuracy.json", b"\xff", "is damaged ("),
        ("plot", "plots/predictions.csv", b"image\n1\n", "is damaged ('actual')"),
        ("plot", "plots/predictions.csv", b"image,actual\n-9999,x\n", "is damaged (range"),
        ("plot", "plots/training/plots/metrics/val/loss.tsv", b"step\tloss\n1\tx\n", "is damaged"),
        ("plot", "plots/training/plots/metrics/val/loss.tsv", None, "No such file or directory"),
    ],
)
def test_a_bad_input_is_named_in_one_line(
    stage: str, file: str, content: bytes | None, reason: str, folder: Path
) -> None:
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    _, _, *options = words(stage)
    paths = {
        option[2:].replace("-", "_"): folder / name
        for option, name in zip(options[::2], options[1::2], strict=True)
    }
    with pytest.raises((UserError, OSError)) as caught:
        importlib.import_module(stage).main(**paths)
    said = str(caught.value)
    assert file.removesuffix(".json") in said and reason in said
    assert "\n" not in said


def test_a_loss_that_is_no_number_stops_the_run(folder: Path) -> None:
    write(folder / "params.yaml", model__name="netdepth", train__lr=1e30, train__threads=1)
    remove("train", folder)
    said = run(*words("train"), cwd=folder, status=2)
    assert said.startswith("train: train.lr: at 1e+30 the loss became nan (val: nan) in epoch 1;")
    assert said.endswith("try a smaller one, -S train.lr=1e+29\n")
    assert outputs("train", folder) == {}


# Whatever a file holds, a reader succeeds or raises UserError, and soon.
ANYTHING = settings(
    max_examples=150, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=9), inner)
)


@ANYTHING
@given(content=TREES.map(repr).map(str.encode) | st.binary() | st.text().map(str.encode))
def test_any_settings(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(UserError):
        params.load(tmp_path / "params.yaml")


@ANYTHING
@given(group=st.sampled_from(sorted(params.Params.model_fields)), data=st.data())
def test_any_value_of_any_setting(group: str, data: st.DataObject, tmp_path: Path) -> None:
    keys = sorted(type(getattr(params.load(ROOT / "params.yaml"), group)).model_fields)
    key = data.draw(st.sampled_from(keys))
    write(tmp_path / "params.yaml", **{f"{group}__{key}": data.draw(SCALARS | TREES)})
    with contextlib.suppress(UserError):
        params.load(tmp_path / "params.yaml")


def read_snapshot(path: Path) -> None:
    assert snapshot.Snapshot(path, "key").content is None
    raise UserError("a warning and a fresh start are the right answer")


@ANYTHING
@given(
    reader=st.sampled_from(
        [
            dataset.load,
            checkpoint.load,
            lambda path: synthetic.read(path, "val"),
            lambda path: cifar10.fetch(path.parent / "raw", str(path)),
            read_snapshot,
        ]
    ),
    content=st.binary(max_size=500)
    | st.builds(
        lambda start, rest: start + rest,
        st.sampled_from([b"PK\x03\x04", b"\x1f\x8b\x08\x00", b"\x93NUMPY\x01\x00", b"\x80\x02"]),
        st.binary(max_size=500),
    ),
)
def test_any_bytes(reader: Callable[[Path], object], content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file.pt").write_bytes(content)
    with pytest.raises(UserError):
        reader(tmp_path / "file.pt")


@ANYTHING
@given(cuts=st.tuples(st.integers(0), st.binary(min_size=1, max_size=20)), data=st.data())
def test_any_damage(
    cuts: tuple[int, bytes], data: st.DataObject, finished: Path, tmp_path: Path
) -> None:
    """A good file, overwritten somewhere or cut off: read all the same, or named as damaged."""
    shutil.copy(finished / "models/model.json", tmp_path)
    good = (finished / "models/model.pt").read_bytes()
    at = data.draw(st.integers(0, len(good)))
    damaged = good[:at] + cuts[1] + (good[at + len(cuts[1]) :] if cuts[0] % 2 else b"")
    (tmp_path / "model.pt").write_bytes(damaged)
    with contextlib.suppress(UserError):
        checkpoint.load(tmp_path / "model.pt")


def test_every_load_of_torch_is_of_weights_only() -> None:
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "stages").rglob("*.py")]:
        text = path.read_text()
        assert text.count("torch.load(") == text.count("weights_only=True)")
        assert "pickle.load" not in text


@pytest.mark.slow
def test_six_stages_at_once(tidy: Path) -> None:
    """As zoo/ runs them: each with its seed, outputs apart, equal to what it gives alone."""
    many = tidy / "many"
    many.mkdir()
    cmd = STAGES["train"]["cmd"].replace("params.yaml", "many/${item.seed}.yaml")
    for name in ("models/model.pt", "plots/training"):
        cmd = cmd.replace(name, f"many/{name.rpartition('/')[2]}-${{item.seed}}")
    cmd = cmd.replace("model.pt-${item.seed}", "${item.seed}.pt")
    outs = "['many/${item.seed}.pt', 'many/training-${item.seed}']"
    (many / "dvc.yaml").write_text(
        f"stages:\n  train:\n    matrix: {{seed: [1, 2, 3, 4, 5, 6]}}\n    wdir: ..\n"
        f"    cmd: >-\n      {cmd}\n    deps: [data/cifar2]\n    outs: {outs}\n"
    )
    for seed in range(1, 7):
        write(many / f"{seed}.yaml", train__epochs=2, train__threads=1, train__seed=seed)
    processes = [
        subprocess.Popen(
            ["dvc", "--wait-for-lock", "repro", "-s", f"many/dvc.yaml:train@{seed}"],
            cwd=tidy,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for seed in range(1, 7)
    ]
    for process in processes:
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
    together = [(many / f"{seed}.pt").read_bytes() for seed in range(1, 7)]
    assert len(set(together)) == 6
    assert "up to date" in run("dvc", "status", "many/dvc.yaml", cwd=tidy)
    shutil.rmtree(tidy / ".dvc/tmp/snapshots")
    for seed in range(1, 7):
        run("dvc", "repro", "-f", "-s", f"many/dvc.yaml:train@{seed}", cwd=tidy)
    assert [(many / f"{seed}.pt").read_bytes() for seed in range(1, 7)] == together
    shutil.rmtree(many)


@pytest.mark.slow
def test_six_experiments_two_at_a_time(tidy: Path) -> None:
    names = [f"queued{seed}" for seed in range(1, 7)]
    for seed, name in enumerate(names, start=1):
        changes = ["-S", f"train.seed={seed}", "-S", "train.threads=1"]
        run("dvc", "exp", "run", "--queue", "--name", name, *changes, cwd=tidy)
    run("dvc", "queue", "start", "-j", "2", cwd=tidy)
    for _ in range(300):
        status = run("dvc", "queue", "status", cwd=tidy)
        if not any(word in status for word in ("Queued", "Running")):
            break
        time.sleep(2)
    assert status.count("Success") >= 6, status
    assert run("git", "status", "--porcelain", cwd=tidy) == ""
    for seed in (2, 5):
        run("dvc", "exp", "apply", f"queued{seed}", cwd=tidy)
        together = (tidy / "dvc.lock").read_text()
        shutil.rmtree(tidy / ".dvc/tmp/snapshots")
        changes = ["-S", f"train.seed={seed}", "-S", "train.threads=1"]
        run("dvc", "exp", "run", "--force", *changes, cwd=tidy)
        assert (tidy / "dvc.lock").read_text() == together
        run("git", "reset", "--quiet", "--hard", cwd=tidy)
        run("dvc", "checkout", "--force", cwd=tidy)
