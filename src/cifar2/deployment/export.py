"""A trained network as an ONNX file, which other programs and languages run."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim

from cifar2 import __version__, files
from cifar2.data import dataset
from cifar2.errors import UserError
from cifar2.inference.checkpoint import Description


class _WithPixels(nn.Module):
    """A network with all that surrounds it: pixels in, logits and probabilities out."""

    def __init__(self, network: nn.Module, preparation: dataset.Preparation) -> None:
        super().__init__()
        self.network, self.preparation = network, preparation

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.network(dataset.normalize(pixels, self.preparation))
        return logits, logits.softmax(dim=1)


def export(network: nn.Module, description: Description, path: Path) -> None:
    """Write a network as one ONNX file, which takes any number of images at once.

    Input: `pixels`, uint8 [N, 3, size, size], RGB. Outputs: `logits` and `probabilities`, float32
    [N, num_classes]. The file includes the normalization. Its metadata has the model's name, its
    classes as a JSON list, the data set, and the version of this project.

    Raises:
        UserError: if the packages for it are not installed.
        OSError: if the file can't be written.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  (PyTorch's exporter needs it)
    except ImportError as error:
        raise UserError(f"{error.name} is not installed; it is in the extra [onnx]") from error

    # The exporter takes an example; with one image it would make the network for one alone.
    example = torch.zeros(2, 3, *2 * [description.preparation.size], dtype=torch.uint8)
    with (
        warnings.catch_warnings(action="ignore"),  # about the exporter's own parts
        contextlib.redirect_stdout(io.StringIO()),  # its progress
    ):
        program = torch.onnx.export(
            _WithPixels(network, description.preparation).eval(),
            (example,),
            dynamo=True,
            input_names=["pixels"],
            output_names=["logits", "probabilities"],
            dynamic_shapes=({0: Dim("images")},),
        )
    assert program is not None
    content = program.model_proto
    for part in (content.graph, *content.graph.node, *content.graph.value_info):
        part.ClearField("metadata_props")  # the exporter's notes, with paths of this machine
    classes = json.dumps(description.classes, ensure_ascii=False)
    metadata = {"model": description.name, "classes": classes, "dataset": description.source}
    onnx.helper.set_model_props(content, metadata | {"version": __version__})
    onnx.checker.check_model(content, full_check=True)
    files.write(path, content.SerializeToString())
