"""Norms are folded into the layers before them where the word allows it; the logits stay."""

import pytest
import torch

import residua
from few import few_of
from released import shaken
from residua.nn.letters import letters
from residua.nn.network import Network, build
from residua.predict.engines.folding import fold_norms
from residua.spec.zoo import NAMES, arch
from small import arch as small_arch

FOLDABLE = [name for name in NAMES if "N" in arch(name).stem.word and arch(name).head.grid == 1]
"""Networks with norms that read images of any size."""
FEW = ["resnet18_a", "cifar_preresnet110", "iresnet18", "googlenet", "resmlp", "resstage3d18"]


def inputs_of(network, count=2, side=64):
    preprocess, clip = network.preprocess, network.arch.clip
    side = preprocess.size if network.arch.is_flat else min(side, preprocess.size)
    frames = (clip.total,) if clip else ()
    return torch.randn(count, preprocess.channels, *frames, side, side)


def norms(network):
    return [name for name, _ in network.named_modules() if name.rpartition(".")[2].startswith("norm")]


@pytest.mark.parametrize("name", few_of([*FOLDABLE], FEW))
@torch.inference_mode()
def test_logits_agree_after_folding_and_every_norm_is_reported(name):
    torch.manual_seed(0)
    with torch.inference_mode(mode=False):
        network = shaken(name)
    before, keys = norms(network), [*network.state_dict()]
    inputs = inputs_of(network)
    folded, report = fold_norms(network)
    expected, logits = network(inputs), folded(inputs)
    assert (logits - expected).abs().max() <= 1e-4 * expected.abs().max()
    assert [entry.norm for entry in report] == [norm for norm in before if "sides" not in norm]
    assert norms(folded) == [entry.norm for entry in report if not entry.layer]
    assert [*network.state_dict()] == keys
    assert all(bool(entry.layer) != bool(entry.reason) for entry in report)


def test_all_norms_of_the_original_order_are_folded_and_of_preactivation_those_behind_a_convolution():
    def left(name):
        return [entry.norm for entry in fold_norms(residua.create_model(name))[1] if not entry.layer]

    assert left("resnet18") == []
    assert left("cifar_resnet20:order=b")[-1] == "stages.2.2.after.norm2"
    preactivated = left("preresnet50")
    assert preactivated[0] == "stages.0.1.residual.norm0"
    assert "stages.0.1.residual.norm1" not in preactivated
    assert preactivated[-1] == "tail.norm0"


@pytest.mark.parametrize("kind", ["sync", "frozen"])
@torch.inference_mode()
def test_norms_of_other_kinds_are_folded_too(kind):
    with torch.inference_mode(mode=False):
        network = Network(small_arch(), letters=letters(kind)).eval()
        network.stages[0][0].residual.norm1.running_mean.fill_(0.7)
    inputs = inputs_of(network)
    folded, report = fold_norms(network)
    assert all(entry.layer for entry in report)
    torch.testing.assert_close(folded(inputs), network(inputs), rtol=1e-4, atol=1e-5)


def test_a_bias_in_front_of_a_norm_is_folded_with_it():
    network = build(small_arch()).eval()
    conv = network.stem.conv1
    conv.bias = torch.nn.Parameter(torch.randn(conv.out_channels))
    network.stem.norm1.running_mean.fill_(0.7)
    inputs = inputs_of(network)
    with torch.inference_mode():
        torch.testing.assert_close(fold_norms(network)[0](inputs), network(inputs), rtol=1e-4, atol=1e-5)
