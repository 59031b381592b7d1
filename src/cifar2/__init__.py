"""Small convolutional networks on CIFAR-2, after chapter 8 of *Deep Learning with PyTorch*."""

__version__ = "1.0.0"

# The modules that carry the bytes of results and do not decide them. No stage names them in its
# `deps`, and they are not part of a snapshot's key, so an edit there trains nothing again. All
# other modules that a stage imports are in its `deps` (tests/stages/test_deps.py holds them to it),
# apart from an `__init__.py` that holds only a docstring.
PLUMBING = frozenset(
    {
        "__main__",  # of `python stages`
        "_stage",  # arguments, the log, errors, signals
        "cifar2",
        "cifar2.environment",  # what libraries read in a user's environment
        "cifar2.errors",
        "cifar2.files",  # files that appear whole or not at all
        "cifar2.models",  # finds a network's file by its name
        "cifar2.params",  # checks the settings
        "cifar2.progress",  # the bar and the lines of a training
        "cifar2.snapshot",  # trainings that were stopped go on
    }
)
