"""The convolutions whose gradient oneDNN writes beyond its buffer: here they run in every format."""

import os
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from command import python
from residua.nn.letters import ONEDNN_CHANNELS, SubsampledConv
from residua.nn.network import Network, build
from residua.spec import zoo
from residua.spec.block import Conv
from residua.spec.recipe import Plan
from residua.training.plan import MIN_STEPS, choose_plan
from small import arch

TRAIN = """
import torch
from dataclasses import replace
from residua.nn.network import build
from residua.spec.block import Conv
from small import arch

torch.set_num_threads(1)
for width, size in ((4, 12), (12, 64)):
    base = arch()
    network = build(replace(base, stem=replace(base.stem, convs=(Conv(width),)),
                            stages=base.stages[1:])).to(memory_format=torch.channels_last)
    COMPILE
    images = torch.randn(6, 3, size, size).contiguous(memory_format=torch.channels_last)
    for _ in range(STEPS):
        network(images).square().sum().backward()
    assert all(bool(weight.grad.isfinite().all()) for weight in network.parameters())
"""


def narrow(width: int) -> Network:
    """One block whose projection reads `width` channels with stride 2."""
    base = arch()
    return build(replace(base, stem=replace(base.stem, convs=(Conv(width),)), stages=base.stages[1:]))


def projection(width: int) -> nn.Module:
    return narrow(width).get_submodule("stages.0.0.shortcut.conv1")


@pytest.mark.parametrize("instructions", ["AVX2", "DEFAULT"])
def test_training_in_channels_last_survives(instructions: str) -> None:
    """With AVX2, and with what this processor has; torch alone ends with SIGSEGV at both widths."""
    text = TRAIN.replace("COMPILE", "").replace("STEPS", "30")
    done = python("-c", text, env={**os.environ, "ONEDNN_MAX_CPU_ISA": instructions})
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.battery
@pytest.mark.parametrize("instructions", ["AVX2", "DEFAULT"])
def test_compiled_training_survives_too(instructions: str) -> None:
    """torch.compile takes channels_last where the network has none."""
    text = TRAIN.replace("COMPILE", "network.compile()").replace("STEPS", "10")
    done = python("-c", text, env={**os.environ, "ONEDNN_MAX_CPU_ISA": instructions})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("size", [8, 9])
def test_the_layer_computes_what_torch_computes(size: int) -> None:
    torch.manual_seed(0)
    ours, theirs = projection(5).double(), nn.Conv2d(5, 16, 1, 2, bias=False).double()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 5, size, size, dtype=torch.float64)

    def results(layer: nn.Module) -> list[Tensor]:
        given = x.clone().requires_grad_()
        output = layer(given)
        output.square().sum().backward()
        assert isinstance(layer.weight, Tensor)
        return [output, given.grad, layer.weight.grad]  # type: ignore[list-item]

    torch.testing.assert_close(results(ours), results(theirs))


def test_only_layers_of_few_channels_are_replaced() -> None:
    assert isinstance(projection(ONEDNN_CHANNELS - 1), SubsampledConv)
    assert not isinstance(projection(ONEDNN_CHANNELS), SubsampledConv)
    with torch.device("meta"):
        networks = [build(zoo.arch(name)) for name in ("cifar_resnet20", "resnet50", "iresnet18")]
    assert not any(isinstance(layer, SubsampledConv) for one in networks for layer in one.modules())


@pytest.mark.parametrize("form", ["auto", "channels_last"])
def test_the_plan_takes_contiguous_and_says_why(form: str) -> None:
    plan = Plan("cpu", form, "float32", 1)  # type: ignore[arg-type]
    chosen = choose_plan(narrow(4), plan, batch=8, steps=MIN_STEPS)
    assert chosen.plan.memory_format == "contiguous"
    assert "stages.0.0.shortcut.conv1" in chosen.reason
    assert choose_plan(build(arch()), plan, batch=8, steps=1).plan.memory_format == "channels_last"
