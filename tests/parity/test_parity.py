"""Equal logits, not close ones, against the networks that people know, with weights carried over by name."""

from collections.abc import Callable
from functools import partial

import handwritten
import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from few import few_of
from residua.nn.network import Network, build
from residua.spec.zoo import arch
from residua.weights import load, save_as

PEERS: dict[tuple[str, str], Callable[[], nn.Module]] = {
    ("resnet18", "torchvision"): torchvision.models.resnet18,
    ("resnet34", "torchvision"): torchvision.models.resnet34,
    ("resnet50", "torchvision"): torchvision.models.resnet50,
    ("resnet101", "torchvision"): torchvision.models.resnet101,
    ("resnet152", "torchvision"): torchvision.models.resnet152,
    ("resnet18", "timm"): partial(timm.create_model, "resnet18"),
    ("resnet34", "timm"): partial(timm.create_model, "resnet34"),
    ("resnet50", "timm"): partial(timm.create_model, "resnet50"),
    ("resnet101", "timm"): partial(timm.create_model, "resnet101"),
    ("resnet152", "timm"): partial(timm.create_model, "resnet152"),
    ("resnext50_32x4d", "torchvision"): torchvision.models.resnext50_32x4d,
    ("wide_resnet50_2", "torchvision"): torchvision.models.wide_resnet50_2,
    ("alexnet", "torchvision"): torchvision.models.alexnet,
    ("vgg16", "torchvision"): torchvision.models.vgg16,
    ("vgg19_bn", "torchvision"): torchvision.models.vgg19_bn,
    ("googlenet", "torchvision"): partial(torchvision.models.googlenet, aux_logits=False, init_weights=False),
    ("resnet50_v1", "torchvision"): handwritten.resnet50_v1,
    ("plain18", "torchvision"): handwritten.plain18,
    ("resnet18_a", "torchvision"): handwritten.resnet18_a,
    ("resnet18_c", "torchvision"): handwritten.resnet18_c,
    ("cifar_resnet20", "cifar"): partial(handwritten.CifarNet, handwritten.CifarBlock, 3),
    ("cifar_resnet56", "cifar"): partial(handwritten.CifarNet, handwritten.CifarBlock, 9),
    ("cifar_plain20", "cifar"): partial(handwritten.CifarNet, handwritten.CifarPlainBlock, 3),
}


def shake(network: nn.Module) -> None:
    """Draws statistics and norms anew, so that a norm in the wrong place shows."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.normal_(module.bias, 0, 0.1)
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)


def logits(network: nn.Module, size: int) -> Tensor:
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return network.eval()(images)


LARGE = ("101", "152", "vgg16", "vgg19", "vgg19_bn", "wide_resnet50_2")
FEW = [key for key in PEERS if not key[0].endswith(LARGE)]


@pytest.mark.parametrize("peer", few_of(PEERS, FEW), ids="-".join)
def test_logits_and_keys_are_those_of_the_peer(peer: tuple[str, str]) -> None:
    name, source = peer
    theirs, ours = PEERS[name, source](), build(arch(name))
    shake(theirs)
    size = 32 if source == "cifar" else 64
    expected = logits(theirs, size)
    assert expected.isfinite().all()
    assert expected.std() > 1e-3
    assert not torch.equal(logits(ours, size), expected)
    state = theirs.state_dict()
    load(ours, state, source=source)
    assert (logits(ours, size) - expected).abs().max() == 0
    back = save_as(ours, source)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], state[key]) for key in state)


def test_the_small_network_computes_what_its_layers_say() -> None:
    theirs, ours = handwritten.smallconvnet(), build(arch("smallconvnet"))
    assert [value.shape for value in theirs.state_dict().values()] == shapes(ours)
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    assert (logits(ours, 32) - logits(theirs, 32)).abs().max() == 0


def shapes(network: Network) -> list[torch.Size]:
    return [value.shape for value in network.state_dict().values()]
