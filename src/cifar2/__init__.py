"""Small convolutional networks on CIFAR-2, after chapter 8 of *Deep Learning with PyTorch*."""


class UserError(Exception):
    """Something that the user can put right.

    The message is one line that says what is wrong, where, and what to do about it.
    """
