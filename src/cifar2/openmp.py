"""The threads that PyTorch computes with on a CPU, which are OpenMP's."""

import os

# By default the threads spin while they wait for each other, which takes the time of whatever else
# runs, and of each other. To sleep instead costs some speed on an idle machine (bench/README.md).
SLEEPING = {"OMP_WAIT_POLICY": "PASSIVE"}


def prepare() -> None:
    """Set the variables that OpenMP reads when torch is imported; so call this before.

    Threads that wait sleep, unless the user has said how they wait.
    """
    # With fewer threads than PyTorch was told, it hangs, or its results are silently wrong.
    for variable in ("OMP_DYNAMIC", "OMP_THREAD_LIMIT"):
        os.environ.pop(variable, None)
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"} & os.environ.keys():
        os.environ.update(SLEEPING)
