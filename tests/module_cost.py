"""Parameters, multiply-adds and activations of any module, counted as it runs on meta tensors."""

import copy
from math import prod

import torch
from torch import Tensor, nn

from residua.spec.describe import Cost


def module_cost(module: nn.Module, *, channels: int, size: int, frames: int = 0) -> Cost:
    """What one image (channels, size, size), or clip with `frames`, costs `module`, counted layer by layer.

    The independent check of `residua.spec.describe.cost`, which does arithmetic on an `Arch`.
    """
    tensors = (*module.parameters(), *module.buffers())
    on_meta = {id(tensor): tensor.detach().to("meta") for tensor in tensors}  # no weight is copied
    meta_module = copy.deepcopy(module, on_meta).eval()
    macs = outputs = 0

    def count(layer: nn.Module, _: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal macs, outputs
        assert isinstance(layer.weight, Tensor)
        outputs += out.numel()
        macs += out.numel() * prod(layer.weight.shape[1:])

    for layer in meta_module.modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d | nn.Linear):
            layer.register_forward_hook(count)
    shape = (frames, size, size) if frames else (size, size)
    meta_module(torch.empty(1, channels, *shape, device="meta"))
    return Cost(sum(p.numel() for p in meta_module.parameters()), macs, outputs)
