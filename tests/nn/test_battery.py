"""What every network promises, asked of every name."""

import pytest
import torch
from torch import Tensor

from residua.nn.network import Network, build
from residua.spec import describe
from residua.spec.arch import Arch
from residua.spec.record import from_json, to_json
from residua.spec.zoo import NAMES, arch
from residua.weights import save_as
from residua.weights.dialect import translate
from residua.weights.store import CheckpointError
from residua.weights.tables import DIALECTS

IDUTA = {"residua", "iduta"}
MOST = set(DIALECTS) - {"bearpaw"}
SPEAKS = {
    "convnet": {"residua"},
    "preresnet": {"residua"},
    "cifar_preresnet": {"residua"},
    "resstage": IDUTA,
    "iresnet": IDUTA,
    "iresgroup": IDUTA,
    "cifar_iresnet": IDUTA,
    "resmlp": {"residua"},
    "alexnet": {"residua", "torchvision"},
    "vgg": {"residua", "torchvision"},
    "googlenet": {"residua", "torchvision"},
    "alexnet_2012": {"residua"},
    "googlenet_2014": {"residua"},
}
"""Families, and single names, that the tables of some others have no words for."""
RUN = [
    name
    for name in NAMES
    if arch(name).depth() <= (50 if "_released" in name else 152) or name == "cifar_resnet1202"
]
SPELLED = ("resnet200", "preresnet200", "resstage200", "iresnet404", "cifar_iresnet1001")
"""Deeper ones have the words of the ones that run, and would take minutes."""


def images(spec: Arch) -> Tensor:
    size = 8 if spec.depth() > 1000 else 32
    return torch.randn(2, spec.channels, size, size, generator=torch.Generator().manual_seed(0))


def check_shapes(network: Network, x: Tensor) -> None:
    """The maps and numbers that the words promise."""
    rows = describe.table(network.arch, size=x.shape[-1])
    width, side = network.arch.widths()[-1], rows[-2].size
    with torch.no_grad():
        last = network.forward_features(x)
        assert last.shape == (2, width, side, side)
        assert network.forward_head(last).shape == (2, network.arch.classes)
        assert network.forward_head(last, pre_logits=True).shape == (2, network.num_features)
        assert network.get_classifier().in_features == network.num_features


def check_eval_repeats(network: Network, x: Tensor) -> None:
    """Two passes give the same bits and leave no trace in the buffers."""
    network.eval()
    before = [buffer.clone() for buffer in network.buffers()]
    with torch.no_grad():
        first, second = network(x), network(x)
    assert torch.equal(first, second)
    assert first.isfinite().all()
    assert all(torch.equal(a, b) for a, b in zip(before, network.buffers(), strict=True))


def check_backward(network: Network, x: Tensor) -> None:
    """A gradient reaches every parameter; the norms are left with the statistics of `x`."""
    network.train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    torch.nn.functional.cross_entropy(network(x), torch.tensor([0, 1])).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    reached = sum(bool(parameter.grad.any()) for parameter in network.parameters())
    assert reached > 0.9 * len(list(network.parameters()))


def check_keys(network: Network) -> None:
    """Each tensor comes back to its own place through any source's names, or the source says it has none."""
    own = network.state_dict()
    for source, make in DIALECTS.items():
        if source in SPEAKS.get(network.arch.name, SPEAKS.get(network.arch.family, MOST)):
            back = translate(save_as(network, source), make(network), own, to="ours")
            assert list(back) == list(own)
            assert all(back[key].data_ptr() == own[key].data_ptr() for key in own)
        else:
            with pytest.raises(CheckpointError, match="has no name for"):
                save_as(network, source)


@pytest.mark.parametrize("name", SPELLED)
def test_the_deepest_names_are_spelled_without_memory(name: str) -> None:
    with torch.device("meta"):
        network = build(arch(name))
        size = 2 * arch(name).strides()[-1]
        assert network(torch.empty(1, 3, size, size)).shape == (1, network.arch.classes)


@pytest.mark.parametrize("name", RUN)
def test_every_name_keeps_every_promise(name: str) -> None:
    spec = arch(name)
    assert spec.name == name
    assert from_json(Arch, to_json(spec)) == spec
    network, x = build(spec).eval(), images(spec)
    assert (network.arch, network.preprocess) == (spec, spec.preprocess)
    check_shapes(network, x)
    check_backward(network, x)
    check_eval_repeats(network, x)  # not before: fresh statistics let 1202 layers overflow
    check_keys(network)
