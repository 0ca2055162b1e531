"""Every operation of one forward pass, in order, against the authors' code run elsewhere."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from residua.nn.blocks import ResidualBlock
from residua.nn.network import Network, build
from residua.spec.zoo import arch
from residua.weights import save_as

GOLDEN = json.loads(Path(__file__).with_name("traces.json").read_text())


def shape(x: Tensor) -> str:
    return "x".join(map(str, x.shape[1:]))


def window(layer: Any) -> str:
    kernel, stride, padding = layer.kernel_size, layer.stride, layer.padding
    first = [value[0] if isinstance(value, tuple) else value for value in (kernel, stride, padding)]
    return " k{} s{} p{}".format(*first) + (f" g{layer.groups}" if hasattr(layer, "groups") else "")


def authors_names(network: Network) -> dict[int, str]:
    """Layer with weights, by identity -> what the authors call it."""
    theirs = {value.data_ptr(): key.rpartition(".")[0] for key, value in save_as(network, "iduta").items()}
    return {
        id(layer): theirs[layer.weight.data_ptr()]
        for layer in network.modules()
        if isinstance(getattr(layer, "weight", None), Tensor)
    }


def trace(network: Network) -> list[str]:
    """What runs for one image, one line per operation, as the authors would say it."""
    ran: list[str] = []
    names = authors_names(network)

    def leaf(layer: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        if isinstance(layer, nn.Linear):
            ran.append(f"*: AdaptiveAvgPool2d {shape(last[0])} {inputs[0].shape[1]}x1x1")
        text = f"{names.get(id(layer), '*')}: {type(layer).__name__} {shape(inputs[0])} {shape(out)}"
        ran.append(text + (window(layer) if hasattr(layer, "kernel_size") else ""))

    last: list[Tensor] = []
    network.tail.register_forward_hook(lambda _, __, out: last.append(out))
    for s, stage in enumerate(network.stages):
        for b, block in enumerate(stage):
            assert isinstance(block, ResidualBlock)
            block.shortcut.register_forward_hook(
                lambda _, __, out, at=f"layer{s + 1}.{b}": ran.append(f"{at}: Add {shape(out)} {shape(out)}")
            )
    for layer in network.modules():
        if not list(layer.children()) and not isinstance(layer, nn.Sequential):
            layer.register_forward_hook(leaf)
    with torch.no_grad():
        network(torch.zeros(1, 3, 224, 224))
    return ran


@pytest.mark.parametrize(
    "name", ["resnet50", "resstage50", "resstage50_released", "iresnet50", "resgroupfix50"]
)
def test_what_runs_is_what_the_authors_code_runs(name: str) -> None:
    """As drawn and as released the same operations run: only what the shortcut carries differs."""
    assert trace(build(arch(name)).eval()) == GOLDEN[name.removesuffix("_released")]
