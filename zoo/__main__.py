"""The zoo's commands: `python -m zoo train`, `adopt` and `show`."""

import argparse
import shutil
import signal
import sys

from cifar2.errors import UserError
from zoo.adopt import adopt
from zoo.cluster import on_cluster
from zoo.show import command
from zoo.threads import on_threads
from zoo.train import train


def main() -> None:
    parser = argparse.ArgumentParser("zoo")
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="train every variant that is not up to date")
    training.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="runs at once, of one thread each"
    )
    training.add_argument(
        "--cluster", metavar="ADDRESS", help="let a Ray cluster do it; auto: the one running here"
    )
    training.add_argument(
        "--verify", type=int, default=0, metavar="N",
        help="with --cluster: do N runs, drawn at random, on two machines and compare them",
    )  # fmt: skip
    commands.add_parser(
        "adopt",
        help="keep the results of changed code, where it provably gives the same bytes",
        description="For each variant whose code changed, train the recorded code and the present"
        " code for two epochs on a part of the data. Where all bytes are the same, record the"
        " present code for the results that are there.",
    )
    showing = commands.add_parser("show", help="print the `dvc exp run` for a variant")
    showing.add_argument("variant")
    arguments = parser.parse_args()
    if arguments.command == "train" and arguments.jobs < 1:
        parser.error(f"--jobs: {arguments.jobs} is not allowed, at least 1")
    if arguments.command == "train" and arguments.verify and not arguments.cluster:
        parser.error("--verify: it takes a cluster, --cluster ADDRESS")
    if arguments.command == "train" and arguments.verify < 0:
        parser.error(f"--verify: {arguments.verify} is not allowed, at least 0")
    try:
        if arguments.command == "show":
            print(command(arguments.variant))
            return
        if not shutil.which("dvc"):
            raise UserError("dvc is not on the PATH; activate the environment, or use `make zoo`")
        if arguments.command == "adopt":
            status = adopt()
        elif arguments.cluster:
            status = train(on_cluster(arguments.cluster, arguments.verify))
        else:
            status = train(on_threads(arguments.jobs))
    except UserError as error:
        sys.exit(f"zoo: {error}")
    except KeyboardInterrupt:  # Ctrl-C, which the terminal sends to what is running as well
        print("zoo: stopped; the same command continues from there", file=sys.stderr)
        status = 128 + signal.SIGINT
    sys.exit(status)


if __name__ == "__main__":
    main()
