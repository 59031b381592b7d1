"""What libraries read in a user's environment."""

import logging
import os


def prepare() -> None:
    """Set the variables that libraries read; so call this before torch is imported."""
    # With fewer threads than PyTorch was told, it hangs, or its results are silently wrong.
    for variable in ("OMP_DYNAMIC", "OMP_THREAD_LIMIT"):
        os.environ.pop(variable, None)
    # By default the threads spin while they wait for each other, which takes the time of whatever
    # else runs, and of each other. To sleep costs some speed on an idle machine (bench/README.md).
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"} & os.environ.keys():
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    # Otherwise matplotlib can't be imported where Jupyter names a backend that is not installed,
    # or where the user's settings file is damaged.
    os.environ.update(MPLBACKEND="agg", MATPLOTLIBRC=os.devnull)
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # not where it keeps its list of fonts
