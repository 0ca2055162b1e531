"""Row: layers one after another, which overwrite what is nobody else's."""

from torch import Tensor, nn
from torch.nn.functional import relu
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

MAKERS = (_ConvNd, _NormBase, nn.Linear)
"""Layers whose output is new, and which do not need it to compute their gradients."""


class LayerSequence(nn.Sequential):
    """The layers of a word. None of them is in place, and yet an activation need not take new memory:

    it overwrites the output of the layer before, if that has just been made and nobody looks at it. A hook
    on either layer, a tracer or an exporter sees every layer called, and every output as it was.
    """

    def forward(self, x: Tensor, *, fresh: bool = False) -> Tensor:
        """`x` through all layers; `fresh` when it may be overwritten."""
        fresh = fresh and is_free(self, x)
        for layer in self:
            if fresh and isinstance(layer, nn.ReLU) and is_free(layer, x):
                x = relu(x, inplace=True)
            else:
                x = layer(x)
                fresh = isinstance(layer, MAKERS) and is_free(layer, x)
        return x

    def makes(self, x: Tensor) -> bool:
        """Whether `x`, its output, may be overwritten."""
        return bool(len(self)) and isinstance(self[-1], MAKERS) and is_free(self[-1], x) and is_free(self, x)


def is_free(layer: nn.Module, x: Tensor) -> bool:
    """Whether nothing looks at what `layer` is given or gives: no hook, and `x` is no tracer's stand-in."""
    return type(x) is Tensor and not (
        layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or layer._backward_pre_hooks
    )


def added(residual: Tensor, shortcut: Tensor, *, fresh: bool) -> Tensor:
    """The sum, in the memory of `residual` if that is `fresh` and of the sum's shape and type."""
    if fresh and residual.dtype == shortcut.dtype and residual.shape == shortcut.shape:
        return residual.add_(shortcut)
    return residual + shortcut
