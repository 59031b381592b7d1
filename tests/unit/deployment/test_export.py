"""Networks as ONNX files, run by onnxruntime."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

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

OWN = dataset.Preparation((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
DESCRIPTION = Description("net", {}, ["airplane", "bird"], "mine", OWN)
METADATA = {"model": "net", "classes": '["airplane", "bird"]', "dataset": "mine"}
# These have the layers of `net1` or fewer; `netresdeep` follows with settings of its own.
SIMPLER = {"net", "netbn", "netdepth", "netdropout", "netresdeep", "netwidth"}


@pytest.mark.parametrize(
    "name, config",
    [(name, {}) for name in sorted({*list_models()} - SIMPLER)]
    + [
        # Exporters have confused the weights of blocks of one shape.
        ("netresdeep", {"n_blocks": 4, "shared_blocks": shared})
        for shared in (False, True)
    ],
)
def test_exported_network_gives_the_same(name: str, config: dict[str, Any], tmp_path: Path) -> None:
    """It does so for any number of images, although it was exported while it was trained."""
    network = build(name, **config).train()
    images = torch.randint(256, (40, 3, 32, 32), dtype=torch.uint8)
    network(dataset.normalize(images))  # changes the running statistics
    if config:
        for number, block in enumerate(network.get_submodule("resblocks").children()):
            nn.init.constant_(block.get_parameter("conv.weight"), 0.01 * (number + 1))
    export(network, DESCRIPTION, tmp_path / "model.onnx")
    content = (tmp_path / "model.onnx").read_bytes()
    assert b".py" not in content, "the exporter's own notes"
    if name == "net1":  # one says enough
        export(network, DESCRIPTION, tmp_path / "model.onnx")
        assert (tmp_path / "model.onnx").read_bytes() == content
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata == METADATA | {"version": __version__}
    expected = evaluation.compute_logits(network, dataset.normalize(images, OWN), mirror=False)
    for size in (1, 7, 40):
        batches = [session.run(None, {"pixels": part.numpy()}) for part in images.split(size)]
        logits, probabilities = (np.concatenate(each) for each in zip(*batches, strict=True))
        np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(probabilities, expected.softmax(dim=1), rtol=1e-5, atol=1e-5)
