"""The command `cifar2`: use a trained network.

What is slow to import, above all torch, is imported by the command that needs it.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from cifar2 import files, openmp
from cifar2.errors import FileError, MissingFile, UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cifar2.deployment.prediction import Answer
    from cifar2.inference.checkpoint import Card

MODEL = Path("models/model.pt")
IN_A_LINE = 4  # classes that a line names at most
ON_A_SHEET = 40  # pictures that a contact sheet shows at most


class Asked(NamedTuple):
    """A picture that the network was asked about, and the answer."""

    file: Path | BinaryIO
    pixels: Tensor
    answer: Answer


def main(words: Sequence[str] | None = None) -> int:
    """Run a command; return 0, or 2 after a line on stderr for what the user can put right."""
    arguments = _parser().parse_args(words)
    openmp.prepare()
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
    print(f"cifar2: {message}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cifar2", description="Use a trained network.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    predict = commands.add_parser(
        "predict",
        help="say what pictures show",
        description="Say which class each picture shows, and how probable each class is.",
    )
    predict.set_defaults(command=_predict)
    predict.add_argument(
        "pictures",
        nargs="+",
        type=Path,
        metavar="PICTURE",
        help="a picture of any format and size, a folder of them, or - for standard input",
    )
    predict.add_argument(
        "--fit",
        choices=["crop", "pad", "stretch"],
        default="crop",
        help="a picture that is not square is cut to the square in its middle (crop, the default),"
        " gets white bars (pad), or changes its proportions (stretch)",
    )
    predict.add_argument(
        "--mirror",
        action="store_true",
        help="average the answers about each picture and its mirror image",
    )
    predict.add_argument("--csv", type=Path, metavar="FILE", help="write the answers as a table")
    predict.add_argument("--json", action="store_true", help="print the answers as JSON")
    predict.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help=f"draw the first {ON_A_SHEET} pictures, and what the network sees of them, as PNG",
    )
    export = commands.add_parser(
        "export",
        help="write the network as ONNX",
        description="Write the network as an ONNX file, with the normalisation in it:"
        " pixels, uint8 [N, 3, 32, 32], to logits and probabilities.",
    )
    export.set_defaults(command=_export)
    export.add_argument("file", type=Path, metavar="FILE", help="the file to write")
    for command in (predict, export):
        command.add_argument(
            "--model",
            type=Path,
            default=MODEL,
            metavar="FILE",
            help=f"the weights; the .json file beside them is read, too (default: {MODEL})",
        )
    return parser


def _load(path: Path) -> tuple[nn.Module, Card]:
    from cifar2.inference import checkpoint

    try:
        return checkpoint.load(path)
    except MissingFile as error:
        raise UserError(f"{error}; `dvc repro` makes it") from error


def _predict(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from cifar2.deployment import pictures
    from cifar2.deployment.prediction import predict
    from cifar2.inference.evaluation import BATCH_SIZE

    network, card = _load(arguments.model)
    found: list[Path | BinaryIO] = []
    for path in arguments.pictures:
        found += [_standard_input()] if str(path) == "-" else pictures.find(path)
    # Answers on a terminal are progress enough.
    hidden = not sys.stderr.isatty() or (sys.stdout.isatty() and not arguments.json)
    refused = []

    def readable() -> Iterator[tuple[Path | BinaryIO, Tensor]]:
        for file in tqdm(found, unit="picture", leave=False, disable=hidden):
            try:
                yield file, pictures.to_tensor(file, arguments.fit)
            except (FileError, OSError) as error:
                refused.append(file)
                with tqdm.external_write_mode():
                    _say(error)

    asked: list[Asked] = []
    width = min(60, max(len(_name(file)) for file in found))
    left = readable()
    while batch := list(islice(left, BATCH_SIZE)):
        answers = predict((pixels for _, pixels in batch), network, card, mirror=arguments.mirror)
        for (file, pixels), answer in zip(batch, answers, strict=True):
            asked.append(Asked(file, pixels, answer))
            if not arguments.json:
                print(f"{_name(file):{width}}  {_in_a_line(answer)}")
    if arguments.json:
        print(_as_json(asked))
    if arguments.csv:
        files.write(arguments.csv, _as_csv(asked, card.classes).encode())
    if arguments.plot and asked:
        files.write(arguments.plot, _sheet(asked))
    return 2 if refused else 0


def _export(arguments: argparse.Namespace) -> int:
    from cifar2.deployment.export import export

    network, card = _load(arguments.model)
    export(network, card, arguments.file)
    return 0


def _standard_input() -> BinaryIO:
    content = io.BytesIO(sys.stdin.buffer.read())
    content.name = "-"
    return content


def _name(file: Path | BinaryIO) -> str:
    return str(file) if isinstance(file, Path) else file.name


def _in_a_line(answer: Answer) -> str:
    ranked = sorted(answer.probabilities.items(), key=lambda each: -each[1])
    return "  ".join(f"{label} {probability:.4f}" for label, probability in ranked[:IN_A_LINE])


def _as_json(asked: Sequence[Asked]) -> str:
    table = [
        {
            "file": _name(each.file),
            "class": each.answer.label,
            "probabilities": {key: round(p, 4) for key, p in each.answer.probabilities.items()},
        }
        for each in asked
    ]
    return json.dumps(table, indent=2)


def _as_csv(asked: Sequence[Asked], classes: Sequence[str]) -> str:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["file", "class", *classes])
    for each in asked:
        probabilities = [f"{p:.4f}" for p in each.answer.probabilities.values()]
        writer.writerow([_name(each.file), each.answer.label, *probabilities])
    return table.getvalue()


def _sheet(asked: Sequence[Asked]) -> bytes:
    import numpy as np

    from cifar2.deployment import pictures, sheet

    rows = []
    for file, pixels, answer in asked[:ON_A_SHEET]:
        if not isinstance(file, Path):
            file.seek(0)
        image = pictures.to_rgb(pictures.read(file))
        image.thumbnail((256, 256))
        seen = pixels.permute(1, 2, 0).numpy()
        rows.append(sheet.Answered(_name(file), np.asarray(image), seen, answer.probabilities))
    some = len(rows) < len(asked)
    title = f"the first {len(rows)} of {len(asked):,} pictures" if some else ""
    return sheet.contact_sheet(rows, title)


if __name__ == "__main__":
    sys.exit(main())
