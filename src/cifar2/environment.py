"""What libraries read in a user's environment."""

import logging
import os

OWN = {
    # Otherwise matplotlib can't be imported where Jupyter names a backend that is not installed,
    # or where the user's settings file is damaged.
    "MPLBACKEND": "agg",
    "MATPLOTLIBRC": os.devnull,
    # DVCLive would wait for a server in each epoch. In a DVC project, .dvc/config says the same.
    "DVC_STUDIO_OFFLINE": "true",
}


def prepare() -> None:
    """Set the variables that libraries read; so call this before torch is imported.

    Threads that wait sleep, unless the user has said how they wait.
    """
    # With fewer threads than PyTorch was told, it hangs, or its results are silently wrong.
    for variable in ("OMP_DYNAMIC", "OMP_THREAD_LIMIT"):
        os.environ.pop(variable, None)
    # By default the threads spin while they wait for each other, which takes the time of whatever
    # else runs, and of each other. To sleep costs some speed on an idle machine (bench/README.md).
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"} & os.environ.keys():
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.update(OWN)
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # not where it keeps its list of fonts
