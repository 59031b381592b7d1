"""Networks as ONNX files, run by onnxruntime."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cifar2 import __version__
from cifar2.data import dataset
from cifar2.inference import evaluation
from cifar2.inference.checkpoint import Description
from cifar2.models import list_models
from tests.unit.settings import build

pytest.importorskip("onnx", reason="needs the extra cifar2[onnx]")
pytest.importorskip("onnxscript", reason="needs the extra cifar2[onnx]")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra cifar2[onnx]")

from cifar2.deployment.export import export  # noqa: E402

CLASSES = ["airplane", "bird"]


def trained(name: str, **config: Any) -> nn.Module:
    """Return a network with running statistics that are not those of the start."""
    torch.manual_seed(0)
    network = build(name, len(CLASSES), **config).train()
    with torch.no_grad():
        network(dataset.normalize(pixels(64)))
    return network.eval()


def pixels(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)


def session(network: nn.Module, path: Path, name: str = "net") -> Any:
    export(network, Description(name, {}, CLASSES, "cifar10"), path)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("name", list_models())
def test_exported_network_gives_the_same(name: str, tmp_path: Path) -> None:
    network = trained(name)
    images = pixels(100)
    expected = evaluation.compute_logits(network, dataset.normalize(images), mirror=False)
    run = session(network, tmp_path / "model.onnx", name)
    for size in (1, 7, 100):
        batches = [run.run(None, {"pixels": part.numpy()}) for part in images.split(size)]
        logits, probabilities = (np.concatenate(each) for each in zip(*batches, strict=True))
        np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(probabilities, expected.softmax(dim=1), rtol=1e-5, atol=1e-5)


def test_batch_is_of_any_size(tmp_path: Path) -> None:
    run = session(trained("net"), tmp_path / "model.onnx")
    assert run.get_inputs()[0].shape == ["images", 3, 32, 32]
    assert run.get_inputs()[0].type == "tensor(uint8)"
    assert [each.name for each in run.get_outputs()] == ["logits", "probabilities"]
    assert [each.shape for each in run.get_outputs()] == 2 * [["images", len(CLASSES)]]


@pytest.mark.parametrize("shared", [False, True])
def test_residual_blocks_keep_their_weights(shared: bool, tmp_path: Path) -> None:
    """Exporters have confused the weights of blocks of one shape."""
    network = trained("netresdeep", n_blocks=4, shared_blocks=shared)
    for number, block in enumerate(network.get_submodule("resblocks").children()):
        nn.init.constant_(block.get_parameter("conv.weight"), 0.01 * (number + 1))
    images = pixels(7)
    expected = evaluation.compute_logits(network, dataset.normalize(images), mirror=False)
    (logits, _) = session(network, tmp_path / "model.onnx").run(None, {"pixels": images.numpy()})
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


def test_dropout_is_off(tmp_path: Path) -> None:
    network = trained("netdropout", dropout=0.9).train()
    run = session(network, tmp_path / "model.onnx")
    feed = {"pixels": pixels(7).numpy()}
    assert np.array_equal(run.run(None, feed)[0], run.run(None, feed)[0])


def test_metadata_says_what_it_is(tmp_path: Path) -> None:
    run = session(trained("netbn"), tmp_path / "model.onnx", "netbn")
    metadata = run.get_modelmeta().custom_metadata_map
    assert json.loads(metadata.pop("classes")) == CLASSES
    assert metadata == {"model": "netbn", "dataset": "cifar10", "version": __version__}


def test_file_has_the_same_bytes_every_time_and_no_path(tmp_path: Path) -> None:
    for name in ("one.onnx", "two.onnx"):
        session(trained("net"), tmp_path / name)
    content = (tmp_path / "one.onnx").read_bytes()
    assert content == (tmp_path / "two.onnx").read_bytes()
    assert str(Path(__file__).parent.parent).encode() not in content
    assert b".py" not in content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.onnx", "two.onnx"]
