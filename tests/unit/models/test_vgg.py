"""The small VGG."""

import torch

from cifar2.models import get_model


def test_signal_does_not_fade_through_the_layers() -> None:
    """With PyTorch's own initialisation, logits differ by about 0.0001 from image to image."""
    with torch.no_grad():
        logits = get_model("vgg")(torch.randn(16, 3, 32, 32))
    assert logits.std(dim=0).min() > 0.1


def test_biases_start_at_zero() -> None:
    biases = [p for name, p in get_model("vgg").named_parameters() if name.endswith("bias")]
    assert len(biases) == 9
    assert all((bias == 0).all() for bias in biases)
