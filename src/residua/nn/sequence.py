"""LayerSequence: an nn.Sequential whose activations reuse memory, and the residual sum that does the same.

A ReLU or a sum may overwrite its input if three things hold:

    1. the input is new: the layer before has just made it, so it is no input of the block or of a shortcut;
    2. that layer does not need its own output for its gradient: convolutions, norms and linear layers do not;
    3. nothing else sees it: no hook on either layer, and it is a plain tensor (no tracer, no exporter).

`may_overwrite` carries 1 and 2 from layer to layer, `is_unobserved` checks 3. Outputs and gradients have the
same bits either way. No other file of the package uses in-place layers.
"""

from torch import Tensor, nn
from torch.nn.functional import relu
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

PRODUCERS = (_ConvNd, _NormBase, nn.Linear)
"""Layers whose output is new memory, which they do not need to compute their gradients."""


class LayerSequence(nn.Sequential):
    """The layers of a word, one after the other; a ReLU reuses the memory of its input where it may."""

    def forward(
        self, x: Tensor, *, may_overwrite: bool = False, keep: tuple[int, list[Tensor]] | None = None
    ) -> Tensor:
        """The output of the last layer.

        Args:
            x: Input of the first layer.
            may_overwrite: Whether the memory of `x` may be reused.
            keep: A number of layers, and a list to which the output of the last of them is appended.
        """
        may_overwrite = may_overwrite and is_unobserved(self, x)
        for number, layer in enumerate(self):
            if keep and keep[0] == number:
                keep[1].append(x)
                may_overwrite = False
            if may_overwrite and isinstance(layer, nn.ReLU) and is_unobserved(layer, x):
                x = relu(x, inplace=True)
            else:
                x = layer(x)
                may_overwrite = isinstance(layer, PRODUCERS) and is_unobserved(layer, x)
        if keep and keep[0] == len(self):
            keep[1].append(x)
        return x

    def has_new_output(self, x: Tensor) -> bool:
        """Whether the memory of its output `x` may be reused."""
        if not len(self) or not isinstance(self[-1], PRODUCERS):
            return False
        return is_unobserved(self[-1], x) and is_unobserved(self, x)


def is_unobserved(layer: nn.Module, x: Tensor) -> bool:
    """Whether `layer` has no hooks and `x`, its input or output, is a plain tensor."""
    return type(x) is Tensor and not (
        layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or layer._backward_pre_hooks
    )


def residual_sum(residual: Tensor, shortcut: Tensor, *, may_overwrite: bool) -> Tensor:
    """residual + shortcut.

    Args:
        residual: Output of the residual branch, any shape.
        shortcut: Output of the shortcut, of the same shape.
        may_overwrite: Whether the sum may be written into the memory of `residual`.
    """
    if may_overwrite and residual.dtype == shortcut.dtype and residual.shape == shortcut.shape:
        return residual.add_(shortcut)
    return residual + shortcut
