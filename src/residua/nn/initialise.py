"""Initial weights."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from residua.errors import ConfigError
from residua.nn.joins import GatedJoin
from residua.nn.letters import BATCH_NORMS

WITH_WEIGHTS = (nn.Conv2d, nn.Conv3d, nn.Linear, *BATCH_NORMS)
"""Layers of a residual branch that have weights."""


WHITENING_EPSILON = 5e-4
"""Added to each eigenvalue of the patches, so that hardly any noise is amplified (Jordan 2024)."""
MAX_PATCH_VALUES = 1 << 24
"""Numbers of the patches that are held at once: 64 MiB, and twice that as float64."""


def he_normal(network: nn.Module) -> None:
    """Draw the weights of convolutions from N(0, 2 / (kernel area x output channels)), in place.

    The source is He et al. 2015, "Delving deep into rectifiers", eq. 14. Norms stay the identity and linear
    layers as torch initialises them, as in torchvision. Gates get the bias of their block. Weights on the
    meta device are skipped.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d) and not module.weight.is_meta:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, GatedJoin):
            module.initialise_bias()


def zero_last_layers(network: nn.Module) -> int:
    """Zero the last layer with weights of every residual branch: each block starts as its shortcut.

    That is the last norm, or the last convolution where norm and activation come first (`NAC`), as in timm's
    ResNets.

    Returns:
        How many branches were changed.
    """
    changed = 0
    for module in network.modules():
        residual = getattr(module, "residual", None)
        if not isinstance(residual, nn.Sequential):
            continue
        layers = [layer for layer in residual.modules() if isinstance(layer, WITH_WEIGHTS)]
        for layer in layers[-1:]:
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)
            changed += 1
    return changed


def whitened_layer(network: nn.Module) -> nn.Conv2d:
    """The convolution that reads the image, which `whiten_stem` sets.

    Raises:
        ConfigError: The network does not begin with a convolution of images, or with one of more channels
            than patches have directions and their negatives.
    """
    first = next((layer for layer in network.modules() if isinstance(layer, WITH_WEIGHTS)), None)
    if not isinstance(first, nn.Conv2d) or first.groups != 1:
        raise ConfigError("optim.whiten_stem needs a network that begins with a convolution: leave it off")
    width, values = first.out_channels, first.weight[0].numel()
    if width > 2 * values:
        raise ConfigError(
            f"optim.whiten_stem gives at most {2 * values} channels, the first convolution has {width}: "
            "leave it off"
        )
    return first


def whiten_stem(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Let the first convolution whiten patches of images: its outputs are uncorrelated, with mean square 1.

    The patches are those at the places that the convolution reads, without padding. Its filters are the
    eigenvectors of their second moments, those of the largest eigenvalues first, each divided by the square
    root of its eigenvalue, and each followed by its negative, so that an activation loses neither sign. The
    source is Jordan 2024, "94% on CIFAR-10 in 3.29 seconds", 3.2, after Page 2018. A bias becomes 0.

    Args:
        network: Its first convolution has C x kernel x kernel x 2 channels, or fewer.
        batches: Images (N, C, H, W) as the network reads them, float32.

    Raises:
        ConfigError: The network does not begin with a convolution of images, or with one of more channels.
    """
    layer = whitened_layer(network)
    width, values = layer.out_channels, layer.weight[0].numel()
    moments = torch.zeros(values, values, dtype=torch.float64, device=layer.weight.device)
    count = 0
    for images in (portion for batch in batches for portion in _portions(batch, values)):
        patches = functional.unfold(images, layer.kernel_size, layer.dilation, stride=layer.stride)
        patches = patches.transpose(0, 1).flatten(1).double()  # (values, images x places)
        moments += patches @ patches.T
        count += patches.shape[1]
    variances, directions = torch.linalg.eigh(moments / count)  # ascending; a direction is a column
    filters = (directions / (variances + WHITENING_EPSILON).sqrt()).flip(1).T
    largest = filters.gather(1, filters.abs().argmax(1, keepdim=True))
    filters = filters * largest.sign()  # the sign of an eigenvector is arbitrary
    both = torch.stack([filters, -filters], 1).flatten(0, 1)[:width]
    with torch.no_grad():
        layer.weight.copy_(both.view_as(layer.weight))
        if layer.bias is not None:
            layer.bias.zero_()


def _portions(images: Tensor, values: int) -> Iterable[Tensor]:
    """Parts of a batch whose patches of `values` numbers fit into memory."""
    return torch.split(images, max(1, MAX_PATCH_VALUES // (values * images.shape[2] * images.shape[3])))
