"""What each letter of a word is called in a drawing."""

from residua.spec.block import Pool
from residua.spec.walk import Layer

NAMES = {
    "N": "BN",
    "A": "ReLU",
    "D": "dropout",
    "R": "local response norm",
    "S": "stochastic depth",
}
"""Letters without a shape, in the words of the papers' figures."""


def label(layer: Layer, pool: Pool) -> str:
    """`3×3 conv, 64, /2` as in He et al. 2015, fig. 3; `pool` is the shape of P and V."""
    conv = layer.conv
    if layer.letter == "C":
        groups = f", {conv.groups} groups" if conv.groups > 1 else ""
        return f"{conv.kernel}×{conv.kernel} conv, {conv.out}{groups}{_step(conv.stride)}"
    if layer.letter in "PV":
        kind = "max" if layer.letter == "P" else "average"
        return f"{pool.kernel}×{pool.kernel} {kind} pool{_step(pool.stride)}"
    if layer.letter == "Z":
        return f"zeros to {conv.out}{_step(conv.stride)}"
    return f"fc, {conv.out}" if layer.letter == "L" else NAMES[layer.letter]


def _step(stride: int) -> str:
    return f", /{stride}" if stride > 1 else ""
