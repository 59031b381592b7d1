"""The zoo's commands: `python -m zoo train`, `adopt`, `show` and `check-method`."""

import argparse
import signal
import sys
from collections.abc import Sequence

from cifar2.errors import UserError
from zoo import ROOT
from zoo.adopt import adopt
from zoo.cluster import on_cluster
from zoo.show import command
from zoo.threads import on_threads
from zoo.train import train


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("zoo")
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="train every variant that is not up to date")
    help = "runs at once, of one thread each"
    training.add_argument("--jobs", type=int, default=1, metavar="N", help=help)
    help = "let a Ray cluster do it: HOST:PORT, or auto for the one running here"
    training.add_argument("--cluster", metavar="ADDRESS", help=help)
    commands.add_parser(
        "adopt",
        help="keep the results of changed code, after a check that it gives the same bytes",
        description="For each variant whose code changed, train the recorded code and the present"
        " code for eight epochs on a part of the data. Where all bytes are the same, record the"
        " present code for the results that are there.",
    )
    help = "print the `dvc exp run` for a variant"
    commands.add_parser("show", help=help).add_argument("variant")
    help = "count on simulated runs how often the intervals and answers are right (minutes)"
    commands.add_parser("check-method", help=help)
    arguments = parser.parse_args(words)
    if arguments.command == "train" and arguments.jobs < 1:
        parser.error(f"--jobs: {arguments.jobs} is not allowed, at least 1")
    status = 0
    try:
        match arguments.command:
            case "show":
                print(command(arguments.variant))
            case "check-method":
                from zoo.check_method import check  # here, because numpy takes a while

                for line in check(ROOT / "zoo" / "runs"):
                    print(line, flush=True)
            case "adopt":
                status = adopt()
            case "train" if arguments.cluster:
                status = train(on_cluster(arguments.cluster))
            case "train":
                status = train(on_threads(arguments.jobs))
    except UserError as error:
        sys.exit(f"zoo: {error}")
    except KeyboardInterrupt:  # Ctrl-C, which the terminal sends to what is running as well
        print("zoo: stopped; the same command continues from there", file=sys.stderr)
        status = 128 + signal.SIGINT
    sys.exit(status)


if __name__ == "__main__":
    main()
