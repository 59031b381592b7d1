"""The chapter's networks: as its reader types them, and what the book says of them."""

import pytest
import torch

from bench import chapter
from tests.unit.models.test_models import count
from tests.unit.settings import build


@pytest.mark.parametrize("name", chapter.FORWARD)
def test_state_dict_of_the_book_s_form_loads_and_gives_the_same(name: str) -> None:
    """The book's networks have torch's own convolution, and pool behind the activation."""
    theirs, ours = chapter.get_model(name), build(name)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.randn(3, 3, 32, 32, dtype=torch.float64)
    found = []
    for model in (theirs.double(), ours.double()):
        torch.manual_seed(1)  # dropout
        output = model.train()(images)
        gradients = torch.autograd.grad(output.square().sum(), list(model.parameters()))
        found.append((output, *gradients))
    torch.testing.assert_close(*found)


def test_residual_blocks_are_the_book_s() -> None:
    separate, shared = (build("netresdeep", n_blocks=100, shared_blocks=s) for s in (False, True))
    assert (count(separate), count(shared)) == (994_530, 75_810)
    assert shared.state_dict().keys() == separate.state_dict().keys()
    first, last = (shared.get_parameter(f"resblocks.{i}.conv.weight") for i in (0, 99))
    assert first is last
