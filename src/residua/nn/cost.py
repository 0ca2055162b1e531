"""Parameters, multiply-adds and activations of any module, counted as it runs on meta tensors."""

import copy
from math import prod

import torch
from torch import Tensor, nn

from residua.spec.describe import Cost


def cost(module: nn.Module, *, channels: int, size: int, frames: int = 0) -> Cost:
    """What one image (channels, size, size) costs `module`, counted at the layers that really ran.

    With `frames`, one clip (channels, frames, size, size).
    `residua.spec.describe.cost` gives the same for an `Arch` without building it; this serves every other
    module.
    """
    held = (*module.parameters(), *module.buffers())
    light = {id(tensor): tensor.detach().to("meta") for tensor in held}  # no weight is copied
    twin = copy.deepcopy(module, light).eval()
    macs = outputs = 0

    def count(layer: nn.Module, _: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal macs, outputs
        assert isinstance(layer.weight, Tensor)
        outputs += out.numel()
        macs += out.numel() * prod(layer.weight.shape[1:])

    for layer in twin.modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d | nn.Linear):
            layer.register_forward_hook(count)
    shape = (frames, size, size) if frames else (size, size)
    twin(torch.empty(1, channels, *shape, device="meta"))
    return Cost(sum(p.numel() for p in twin.parameters()), macs, outputs)
