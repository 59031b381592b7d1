"""The command `cifar2`: use a trained network, and compare experiments.

What is slow to import, above all torch, is imported by the command that needs it.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from cifar2 import environment, files, models
from cifar2.errors import FileError, MissingFile, UserError, first_line, printable

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import nn

    from cifar2.deployment.prediction import Answer
    from cifar2.inference.checkpoint import Description

MODEL = Path("models/model.pt")
SETTINGS = Path("params.yaml")
IMAGES = "data/cifar2"  # what DVC says of their bytes tells which val images were measured on
STANDARD_INPUT = Path("-")
IN_A_LINE = 4  # classes that a line names at most
ON_A_SHEET = 40  # pictures that a contact sheet shows at most


def main(words: Sequence[str] | None = None) -> int:
    """Run a command; return 0, or 2 after a line on stderr for what the user can put right."""
    arguments = _parser().parse_args(words)
    environment.prepare()
    if isinstance(sys.stdout, io.TextIOWrapper):  # in whatever encoding, and nothing is held back
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
    try:
        status: int = arguments.command(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # `cifar2 predict … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (UserError, OSError) as error:
        _say(error)
        return 2
    except KeyboardInterrupt:
        return 130
    return status


def _say(error: UserError | OSError) -> None:
    message = str(error)
    if isinstance(error, OSError) and error.strerror:
        message = f"{error.filename or 'writing'}: {error.strerror}"
    print(f"cifar2: {printable(message)}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    about = "Use a trained network, or compare experiments."
    parser = argparse.ArgumentParser(prog="cifar2", description=about)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    predict = commands.add_parser("predict", help="say what pictures show")
    predict.description = "Say which class each picture shows, and how probable each class is."
    predict.set_defaults(command=_predict)
    add = predict.add_argument
    shown = "a file, a folder, or - for stdin"
    add("pictures", nargs="+", type=Path, metavar="PICTURE", help=shown)
    fit = "crop cuts a picture to a square, pad adds white bars, stretch distorts it;"
    fit += " by default as in the training"
    add("--fit", choices=["crop", "pad", "stretch"], help=fit)
    add("--mirror", action="store_true", help="average over the picture and its mirror image")
    add("--csv", type=Path, metavar="FILE", help="write the answers as a table")
    add("--json", action="store_true", help="print the answers as JSON")
    sheet = f"draw the first {ON_A_SHEET} pictures and what the network sees of them, as PNG"
    add("--plot", type=Path, metavar="FILE", help=sheet)
    export = commands.add_parser("export", help="write the network as ONNX")
    export.description = "Write ONNX: uint8 [N, 3, size, size] to logits and probabilities."
    export.set_defaults(command=_export)
    export.add_argument("file", type=Path, metavar="FILE", help="the file to write")
    compare = commands.add_parser("experiments", help="print a table of experiments")
    compare.set_defaults(command=_experiments)
    named = "an experiment, a pattern such as 'lr-*', or a commit (default: what HEAD has)"
    compare.add_argument("names", nargs="*", metavar="NAME", help=named)
    for command in (predict, export):
        weights = f"the weights, which have a .json file beside them (default: {MODEL})"
        command.add_argument("--model", type=Path, default=MODEL, metavar="FILE", help=weights)
        what = f"what weights without .json are; options and classes are those of {SETTINGS}"
        names = models.list_models()
        command.add_argument("--architecture", choices=names, metavar="NAME", help=what)
    return parser


def _load(path: Path, architecture: str | None) -> tuple[nn.Module, Description]:
    from cifar2 import params
    from cifar2.data.dataset import CIFAR10
    from cifar2.inference.checkpoint import Description, load

    if not path.name:
        raise UserError(f"--model: {path}: not a file")
    described, description = path.with_suffix(".json"), None
    if architecture and described.exists():
        raise UserError(f"--architecture: {described} already says what the weights are")
    if architecture:
        if not SETTINGS.exists():
            raise UserError(f"--architecture: {SETTINGS}, which has its options, is not here")
        run = params.load(SETTINGS)
        if run.data.classes == "all":
            raise UserError(f"--architecture: data.classes of {SETTINGS} must be a list, not all")
        if run.data.source not in params.BUILT_IN:
            what = f"how its pictures were normalized is in {described}, which is not here"
            raise UserError(f"--architecture: data.source is {run.data.source!r}; {what}")
        config = run.model.model_copy(update={"name": architecture}).config()
        classes = list(run.data.classes)
        prepared = CIFAR10._replace(size=run.data.size, fit=run.data.fit)
        description = Description(architecture, config, classes, "unknown", prepared)
    try:
        return load(path, description)
    except MissingFile as error:
        if path == MODEL:
            raise UserError(f"{error}; `dvc repro` makes it") from error
        if path.exists():
            hint = "`--architecture NAME`, such as net, says what the weights are"
            raise UserError(f"{error}; {hint}") from error
        raise


def _check_output(path: Path, ending: str, model: Path, inputs: Iterable[Path] = ()) -> None:
    """Raise UserError if a file to write is of another kind, or is one that the command reads."""
    if path.suffix.lower() != ending or path.is_dir():
        raise UserError(f"{path}: not a file to write; name one that ends in {ending}")
    if path.exists() and not path.stat().st_mode & 0o200:  # DVC's cache, which root could change
        raise UserError(f"{path}: write-protected; name another file to write")
    for each in (model, model.parent / f"{model.stem}.json", *inputs):
        if os.path.exists(path) and os.path.exists(each) and path.samefile(each):
            raise UserError(f"{path}: this command reads it; name another file to write")


def _predict(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from cifar2.data import pictures
    from cifar2.deployment.prediction import predict

    found, errors = list[Path](), list[OSError | UserError]()
    for path in arguments.pictures:
        paths, failures = pictures.find(path)
        found += paths
        errors += failures
    for path, ending in (arguments.csv, ".csv"), (arguments.plot, ".png"):
        if path:
            _check_output(path, ending, arguments.model, found)
    network, description = _load(arguments.model, arguments.architecture)
    prepared = description.preparation
    prepared = prepared._replace(fit=arguments.fit or prepared.fit)
    description = description._replace(preparation=prepared)
    for error in errors:
        _say(error)
    if not found:
        return 2
    width = min(60, max(len(printable(path)) for path in found))
    # Answers on a terminal are progress enough.
    hidden = not sys.stderr.isatty() or (sys.stdout.isatty() and not arguments.json)
    names: list[str] = []  # of the pictures that could be read
    on_sheet: list[tuple[Image, Image]] = []

    def read_each() -> Iterator[Image]:
        for path in tqdm(found, unit="picture", leave=False, disable=hidden):
            try:
                file: Path | io.BytesIO = path
                if path == STANDARD_INPUT:
                    file = io.BytesIO(sys.stdin.buffer.read())
                    file.name = str(path)
                picture = pictures.read(file, prepared.size)
            except (FileError, OSError) as error:
                with tqdm.external_write_mode():
                    _say(error)
                continue
            seen = pictures.resize(picture, prepared.fit, prepared.size)
            names.append(printable(path))
            if arguments.plot and len(on_sheet) < ON_A_SHEET:
                picture.thumbnail((256, 256))
                on_sheet.append((picture, seen))
            yield seen

    answers: list[Answer] = []
    objects: list[dict[str, object]] = []  # the same, for --json
    status = 0
    with contextlib.ExitStack() as stack:
        try:
            for answer in predict(read_each(), network, description, mirror=arguments.mirror):
                if arguments.csv and not answers:  # a former table stays until there is an answer
                    arguments.csv.parent.mkdir(parents=True, exist_ok=True)
                    # Each row is written at once, so a stop loses none.
                    table = stack.enter_context(
                        open(arguments.csv, "w", 1, encoding="utf-8", newline="")
                    )
                    write = csv.writer(table, lineterminator="\n").writerow
                    write(["file", "class", *description.classes])
                name = names[len(answers)]
                answers.append(answer)
                rounded = {label: round(p, 4) for label, p in answer.probabilities.items()}
                if arguments.csv:
                    write([name, answer.label, *(f"{p:.4f}" for p in rounded.values())])
                objects.append({"file": name, "class": answer.label, "probabilities": rounded})
                if not arguments.json:
                    ranked = sorted(rounded, key=answer.probabilities.__getitem__, reverse=True)
                    line = "  ".join(f"{each} {rounded[each]:.4f}" for each in ranked[:IN_A_LINE])
                    print(f"{name:{width}}  {line}")
        except KeyboardInterrupt:
            _say(UserError(f"stopped after {len(answers):,} of {len(found):,} pictures"))
            status = 130
    if arguments.json:
        print(json.dumps(objects, indent=2))
    if on_sheet and not status:
        from cifar2.deployment.sheet import contact_sheet

        files.write(arguments.plot, contact_sheet(names, on_sheet, answers))
    return status or (2 if errors or len(names) < len(found) else 0)


def _export(arguments: argparse.Namespace) -> int:
    _check_output(arguments.file, ".onnx", arguments.model)
    from cifar2.deployment.export import export

    export(*_load(arguments.model, arguments.architecture), arguments.file)
    return 0


def _experiments(arguments: argparse.Namespace) -> int:
    from dvc import api
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    from cifar2.report import experiments

    try:
        root = Repo.find_root()
        every = api.exp_show(root)
        rows = [] if arguments.names else every
        for name in arguments.names:
            found = [row for row in every if fnmatch(experiments.name(row), name)]
            # An experiment of another commit, or a commit.
            rows += found or [api.exp_show(root, revs=name)[1] | {"Experiment": name}]
    except DvcException as error:
        raise UserError(first_line(error)) from error
    print(experiments.table(rows, IMAGES), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
