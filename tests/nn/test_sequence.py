"""A layer sequence overwrites only what nothing else reads: outputs, gradients and hooks stay the same."""

from collections import Counter

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import residua
from few import few_of
from residua.nn.network import Network

NAMES = [
    "cifar_resnet20",
    "cifar_preresnet110",
    "iresnet50_released",
    "vgg16_bn",
    "googlenet",
]


class CountOperators(TorchDispatchMode):
    """Counts the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.calls[func.__name__.split(".")[0]] += 1
        return func(*args, **(kwargs or {}))


def small(name: str) -> tuple[Network, Tensor]:
    torch.manual_seed(0)
    network = residua.create_model(name, num_classes=3).train()
    side = min(network.preprocess.size, 64)
    return network, torch.randn(2, 3, side, side)


def record_outputs(network: Network) -> list[tuple[Tensor, Tensor]]:
    """Every layer's output as its hook gets it, and a copy made at that moment."""
    outputs: list[tuple[Tensor, Tensor]] = []
    for layer in network.modules():
        if not list(layer.children()):
            layer.register_forward_hook(lambda _layer, _in, out: outputs.append((out, out.detach().clone())))
    return outputs


def gradients(network: Network, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    torch.manual_seed(1)
    network.zero_grad()
    outputs = network(x)
    logits = outputs[0] if isinstance(outputs, tuple) else outputs
    logits.square().sum().backward()
    return logits.detach(), [p.grad.clone() for p in network.parameters() if p.grad is not None]


@pytest.mark.parametrize("name", few_of(NAMES, [name for name in NAMES if name != "vgg16_bn"]))
def test_hooks_change_no_result_and_see_outputs_that_are_not_overwritten(name: str) -> None:
    network, x = small(name)
    logits, grads = gradients(network, x)
    outputs = record_outputs(network)
    hooked_logits, hooked_grads = gradients(network, x)
    assert torch.equal(logits, hooked_logits)
    assert all(torch.equal(one, other) for one, other in zip(grads, hooked_grads, strict=True))
    assert all(torch.equal(output, copy) for output, copy in outputs), "a hook's output was overwritten later"


def test_an_activation_takes_no_memory_of_its_own_without_hooks() -> None:
    network, x = small("cifar_resnet20")
    with CountOperators() as plain:
        network(x)
    record_outputs(network)
    with CountOperators() as hooked:
        network(x)
    assert (plain.calls["relu_"], plain.calls["relu"]) == (19, 0)
    assert (hooked.calls["relu_"], hooked.calls["relu"]) == (0, 19)
    in_place = plain.calls["add_"] - hooked.calls["add_"]
    assert in_place == hooked.calls["add"] - plain.calls["add"] == 9


def test_a_shortcut_that_must_stay_is_not_overwritten() -> None:
    network, _ = small("cifar_preresnet110")
    block = network.stages[0][1]
    x = torch.randn(2, 16, 8, 8)
    before = x.clone()
    block(x)
    assert torch.equal(x, before)


def test_a_tracer_sees_every_layer() -> None:
    network, _ = small("cifar_resnet20")
    graph = torch.fx.symbolic_trace(network.stages[0][0]).graph
    assert [node.target for node in graph.nodes if node.op == "call_module"][-1] == "after.act2"
