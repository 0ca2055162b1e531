"""What a row overwrites is nobody else's: answers, gradients and what hooks see stay as they are."""

from collections import Counter

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import residua
from residua.nn.network import Network

NAMES = [
    "cifar_resnet20",
    "cifar_preresnet110",
    "iresnet50_released",
    "vgg16_bn",
    "googlenet",
]


class Counted(TorchDispatchMode):
    """Counts the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.seen[func.__name__.split(".")[0]] += 1
        return func(*args, **(kwargs or {}))


def small(name: str) -> tuple[Network, Tensor]:
    torch.manual_seed(0)
    network = residua.create_model(name, num_classes=3).train()
    side = min(network.preprocess.size, 64)
    return network, torch.randn(2, 3, side, side)


def watched(network: Network) -> list[tuple[Tensor, Tensor]]:
    """Every layer's output as its hook gets it, and a copy made at that moment."""
    seen: list[tuple[Tensor, Tensor]] = []
    for layer in network.modules():
        if not list(layer.children()):
            layer.register_forward_hook(
                lambda _layer, _given, said: seen.append((said, said.detach().clone()))
            )
    return seen


def gradients(network: Network, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    torch.manual_seed(1)
    network.zero_grad()
    said = network(x)
    logits = said[0] if isinstance(said, tuple) else said
    logits.square().sum().backward()
    return logits.detach(), [p.grad.clone() for p in network.parameters() if p.grad is not None]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_changes_when_somebody_looks(name: str) -> None:
    network, x = small(name)
    logits, free = gradients(network, x)
    seen = watched(network)
    again, held = gradients(network, x)
    assert torch.equal(logits, again)
    assert all(torch.equal(one, other) for one, other in zip(free, held, strict=True))
    assert all(torch.equal(output, then) for output, then in seen), "a hook's output was overwritten later"


def test_an_activation_takes_no_memory_of_its_own_while_nobody_looks() -> None:
    network, x = small("cifar_resnet20")
    with Counted() as free:
        network(x)
    watched(network)
    with Counted() as held:
        network(x)
    assert (free.seen["relu_"], free.seen["relu"]) == (19, 0)
    assert (held.seen["relu_"], held.seen["relu"]) == (0, 19)
    assert (free.seen["add_"] - held.seen["add_"], held.seen["add"] - free.seen["add"]) == (9, 9)


def test_a_shortcut_that_must_stay_is_not_overwritten() -> None:
    network, _ = small("cifar_preresnet110")
    block = network.stages[0][1]
    given = torch.randn(2, 16, 8, 8)
    before = given.clone()
    block(given)
    assert torch.equal(given, before)


def test_a_tracer_sees_every_layer() -> None:
    network, _ = small("cifar_resnet20")
    graph = torch.fx.symbolic_trace(network.stages[0][0]).graph
    assert [node.target for node in graph.nodes if node.op == "call_module"][-1] == "after.act2"
