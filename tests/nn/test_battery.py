"""What every network promises, asked of every name.

Shapes are asked of whole networks, without memory. What needs numbers is asked of the same words with equal
blocks in a row taken once: a module is spelled from its block and the width that enters it, which repeating
does not change; names that are alike then are asked once. `make test` asks a network of every family, exports
a third of them and compiles every letter; `make battery` asks every name.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from few import FAMILIES, few_of, one_of_each_family
from residua.errors import CheckpointError
from residua.nn.network import Network, build
from residua.spec import change, describe, walk
from residua.spec.arch import Arch
from residua.spec.zoo import NAMES, arch
from residua.weights import save_as
from residua.weights.dialect import translate
from residua.weights.tables import DIALECTS
from small import arch as tiny

IDUTA = {"residua", "iduta"}
MOST = set(DIALECTS) - {"bearpaw", "chenyaofo", "a-martyn"}
SPEAKS = {
    "convnet": {"residua"},
    "preresnet": {"residua"},
    "cifar_preresnet": {"residua"},
    "cifar_resnet": MOST | {"chenyaofo"},
    "cifar_plain": MOST | {"chenyaofo", "a-martyn"},
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
    "resnet3d": {"residua", "torchvision", "cifar", "iduta"},
    "resgroup3d": {"residua", "torchvision", "cifar", "iduta"},
    "resstage3d": IDUTA,
    "iresnet3d": IDUTA,
    "iresgroup3d": IDUTA,
}
"""Families, and single names, that the tables of some others have no words for."""
DEEP = [name for name in NAMES if arch(name).depth() > 1000]
PROMPT = ("cifar_resnet1001", "cifar_resnet1202", "cifar_preresnet1001", "cifar_iresnet1001")
"""A thousand layers that fit the memory of any machine."""
STUDIES = ("A_after", "gate", "exclusive_gate", "scale0.5,0.5", "dropout")
SECONDS = 5.0
"""Of the processor's time, for a thousand layers: a loose bound, for a free machine takes one."""


def thin(spec: Arch) -> Arch:
    """`spec` with equal blocks in a row taken once, 16 hidden units between its last layers, few frames."""
    spec = brief(spec)
    head = replace(spec.head, widths=(16,) * len(spec.head.widths))
    sides = tuple(replace(side, head=replace(side.head, widths=(16,))) for side in spec.sides)
    if sides:  # their places count blocks
        return replace(spec, head=head, sides=sides)
    runs = [run for run in walk.block_repeats(spec) if run.part]
    blocks = [
        [run.block for run in runs if run.block and run.part == part + 1] for part in range(len(spec.stages))
    ]
    return replace(spec, stages=tuple(map(tuple, blocks)), head=head)


def brief(spec: Arch) -> Arch:
    """`spec` for clips of four frames, if it reads clips."""
    return replace(spec, clip=replace(spec.clip, frames=4)) if spec.clip else spec


def images(spec: Arch, count: int = 2) -> Tensor:
    """Images, or clips, as small as the words allow; auxiliary heads pool maps of a sixteenth by five."""
    size = spec.preprocess.size if spec.is_flat else 96 if spec.sides else 64 if spec.head.grid > 1 else 32
    shape = (*spec.input_shape[:-2], size, size)
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(0))


def check_shapes(network: Network, x: Tensor) -> None:
    """The maps and numbers that the words promise."""
    rows = [
        row for row in describe.table(network.arch, size=x.shape[-1]) if row.part not in ("head", "sides")
    ]
    width, side = network.arch.widths()[-1], rows[-1].size
    shape = () if network.arch.is_flat else (side, side)
    shape = (rows[-1].frames, *shape) if network.arch.clip else shape
    with torch.no_grad():
        last = network.forward_features(x)
        assert last.shape == (2, width, *shape)
        assert network.forward_head(last).shape == (2, network.arch.classes)
        assert network.num_features == width
        assert network.forward_head(last, pre_logits=True).shape == (2, network.head_hidden_size)
        assert network.get_classifier().in_features == network.head_hidden_size


def check_eval_repeats(network: Network, x: Tensor) -> None:
    """Two passes give the same bits and leave no trace in the buffers."""
    network.eval()
    before = [buffer.clone() for buffer in network.buffers()]
    with torch.no_grad():
        first, second = network(x), network(x)
    assert torch.equal(first, second)
    assert first.isfinite().all()
    assert all(torch.equal(a, b) for a, b in zip(before, network.buffers(), strict=True))


def step(network: Network, x: Tensor) -> Tensor:
    """The loss of one training pass whose gradients stay in the parameters; the seed decides the dropouts."""
    torch.manual_seed(1)
    network.zero_grad()
    outputs = network.train()(x)
    logits = outputs if isinstance(outputs, tuple) else (outputs,)
    assert len(logits) == 1 + len(network.arch.sides)
    assert all(some.shape == (len(x), network.arch.classes) for some in logits)
    loss = sum(
        nn.functional.cross_entropy(some, torch.arange(len(x)) % network.arch.classes) for some in logits
    )
    assert isinstance(loss, Tensor)
    loss.backward()
    return loss.detach()


def check_backward(network: Network, x: Tensor) -> None:
    """A gradient reaches every parameter, the same each time; norms keep the statistics of `x`."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.momentum = 1.0
    first = step(network, x), [parameter.grad for parameter in network.parameters()]
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.sum().isfinite(), name
    reached = sum(
        bool(parameter.grad.any()) for parameter in network.parameters() if parameter.grad is not None
    )
    assert reached > 0.9 * len(list(network.parameters()))
    assert torch.equal(step(network, x), first[0])
    again = [parameter.grad for parameter in network.parameters()]
    assert all(
        a is not None and b is not None and torch.equal(a, b) for a, b in zip(first[1], again, strict=True)
    )


def check_keys(network: Network) -> None:
    """Each tensor comes back to its own place through any source's names, or the source says it has none."""
    own = network.state_dict()
    for source, make in DIALECTS.items():
        if source in SPEAKS.get(network.arch.name, SPEAKS.get(network.arch.family, MOST)):
            back = translate(save_as(network, source), make(network), own, to="ours")
            assert list(back) == list(own)
            assert all(back[key].data_ptr() == own[key].data_ptr() for key in own)
        else:
            with pytest.raises(CheckpointError, match="no name for"):
                save_as(network, source)


@pytest.mark.usefixtures("light_norms")
@pytest.mark.parametrize("name", one_of_each_family(name for name in NAMES if name not in DEEP))
def test_every_name_is_spelled_whole_without_memory(name: str) -> None:
    spec = arch(name)
    assert spec.name == name
    with torch.device("meta"), torch.no_grad():
        network = build(spec)
        assert (network.arch, network.preprocess) == (spec, spec.preprocess)
        assert network.eval()(torch.empty(2, *spec.input_shape)).shape == (2, spec.classes)


def apart() -> dict[Arch, str]:
    """The thin networks that differ in more than their name, and the first name of each."""
    first_names: dict[Arch, str] = {}
    for name in NAMES:
        first_names.setdefault(replace(thin(arch(name)), name="", source=""), name)
    return first_names


@pytest.mark.parametrize("name", one_of_each_family(apart().values()))
def test_every_name_keeps_every_promise(name: str) -> None:
    spec = thin(arch(name))
    network, x = build(spec).eval(), images(spec)
    check_shapes(network, x)
    check_backward(network, x)
    check_eval_repeats(network, x)
    check_keys(network)


def test_thin_networks_have_every_block_of_the_whole() -> None:
    for name in NAMES:
        whole, part = brief(arch(name)), thin(arch(name))
        assert {*whole.blocks()} == {*part.blocks()}
        assert (whole.widths(), whole.strides()) == (part.widths(), part.strides())
        assert [run.layers for run in walk.block_repeats(whole) if run.block] == [
            run.layers for run in walk.block_repeats(part) if run.block
        ]


@pytest.mark.battery
@pytest.mark.parametrize("name", DEEP)
def test_a_thousand_layers_and_more_run_without_memory(name: str) -> None:
    spec = arch(name)
    size = spec.preprocess.size
    with torch.device("meta"), torch.no_grad():
        logits = build(spec).eval()(torch.empty(2, spec.channels, size, size))
    assert logits.shape == (2, spec.classes)


@pytest.mark.parametrize("name", few_of(DEEP, DEEP[:1]))
def test_a_thousand_layers_and_more_are_spelled_without_memory(name: str) -> None:
    began = time.process_time()
    with torch.device("meta"):
        network = build(arch(name))
    lasted = time.process_time() - began
    assert lasted < SECONDS * arch(name).depth() / 1000
    assert sum(value.numel() for value in network.parameters()) == describe.cost(arch(name)).params


@pytest.mark.parametrize("name", few_of(PROMPT, PROMPT[:1]))
def test_a_thousand_layers_are_built_at_once_and_traced_without_recursion(name: str) -> None:
    began, limit = time.process_time(), sys.getrecursionlimit()
    network = build(arch(name)).eval()
    assert time.process_time() - began < SECONDS
    x = images(network.arch)[..., :8, :8]
    traced = torch.fx.symbolic_trace(network)
    assert sys.getrecursionlimit() == limit
    with torch.no_grad():
        for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
            norm.running_var.fill_(4.0)  # fresh statistics let a thousand additions overflow
        assert torch.equal(traced(x), network(x))


def test_gradients_reach_the_first_of_a_thousand_layers() -> None:
    network = build(arch("cifar_resnet1202"))
    step(network, images(network.arch)[..., :8, :8])
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert network.stem.conv1.weight.grad.any()


def every_letter() -> list[Arch]:
    """Few networks that together hold every letter, every way to join, and forks with auxiliary heads."""
    studies = [change.with_shortcut(arch("cifar_resnet20"), option) for option in STUDIES]
    dropped = change.with_drop_path(change.deepen(arch("cifar_preresnet110"), (1, 2, 1)), 0.2)
    first = [arch(name) for name in ("iresnet18", "googlenet_2014", "resmlp", "iresnet3d18")]
    return [thin(spec) for spec in (*first, dropped, *studies)]


def check_same(exported: Callable[[Tensor], Tensor], network: Network, x: Tensor) -> None:
    with torch.no_grad():
        torch.testing.assert_close(exported(x), network(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", few_of(FAMILIES, [*FAMILIES][::3]))
def test_every_family_is_exported(family: str) -> None:
    network = build(thin(arch(FAMILIES[family]))).eval()
    x = images(network.arch)
    check_same(torch.export.export(network, (x,)).module(), network, x)


@pytest.mark.battery
@pytest.mark.parametrize("name", apart().values())
def test_every_name_is_exported_and_compiled(name: str) -> None:
    torch._dynamo.reset()
    network = build(thin(arch(name))).eval()
    x = images(network.arch)
    check_same(torch.export.export(network, (x,)).module(), network, x)
    check_same(torch.compile(network, backend="aot_eager", fullgraph=True), network, x)


def test_what_is_compiled_holds_every_letter() -> None:
    spelled = {layer.letter for spec in every_letter() for layer in walk.layers(spec)}
    assert spelled >= {
        layer.letter for name in NAMES for run in walk.block_repeats(arch(name)) for layer in run.layers
    }
    assert "S" in spelled


@pytest.mark.parametrize("place", few_of(range(len(every_letter())), (0,)))
def test_every_letter_compiles(place: int) -> None:
    torch._dynamo.reset()
    network = build(every_letter()[place]).eval()
    x = images(network.arch)
    check_same(torch.compile(network, backend="aot_eager", fullgraph=True), network, x)


@pytest.mark.battery
def test_a_step_of_training_compiles_to_the_same_gradients() -> None:
    torch._dynamo.reset()
    network = build(tiny())
    x = images(network.arch, 4)
    loss = step(network, x)
    expected = [parameter.grad for parameter in network.parameters()]
    compiled = torch.compile(network, backend="inductor", fullgraph=True)
    network.zero_grad()
    compiled_loss = nn.functional.cross_entropy(compiled(x), torch.arange(4) % 3)
    compiled_loss.backward()
    torch.testing.assert_close(compiled_loss.detach(), loss, rtol=1e-4, atol=1e-5)
    for parameter, grad in zip(network.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, grad, rtol=1e-3, atol=1e-4)
