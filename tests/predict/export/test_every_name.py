"""Every network by name passes the gate as an ONNX file, also those that torch's exporter once got wrong."""

import onnxruntime
import pytest
import torch

from few import few_of
from released import shaken
from residua.predict.export.gate import clip_batches, compare, gate_batches, generated_photos
from residua.predict.export.onnx import onnx_bytes
from residua.spec.zoo import NAMES, arch

QUICK = ("cifar_resnet20", "smallconvnet", "resmlp")
"""What `make test` exports; the others take seconds to minutes each."""
MOST_BLOCKS = 120
"""Deeper networks repeat the blocks of those that are exported."""


@pytest.mark.parametrize("name", few_of([n for n in NAMES if len(arch(n).blocks()) <= MOST_BLOCKS], QUICK))
def test_that_onnx_runtime_computes_what_the_network_does(name: str) -> None:
    torch.manual_seed(0)
    network = shaken(name)
    session = onnxruntime.InferenceSession(onnx_bytes(network))
    if network.arch.clip:
        batches = clip_batches(network)
    else:
        batches = gate_batches(network, generated_photos(3, colour=network.preprocess.colour), "inputs")
    parity = compare(lambda arrays: session.run(None, {"inputs": arrays})[0], batches, takes="inputs")
    assert parity.agrees, parity
    assert parity.same_top1 == 1
