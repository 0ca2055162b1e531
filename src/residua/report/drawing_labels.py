"""What each letter of a word is called in a drawing."""

from residua.spec.block import Conv, Pool
from residua.spec.describe import window
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
        return f"{window(conv)} conv, {conv.out}{groups}{_step(conv)}"
    if layer.letter in "PV":
        kind = "max" if layer.letter == "P" else "average"
        return f"{window(pool)} {kind} pool{_step(pool)}"
    if layer.letter == "Z":
        return f"zeros to {conv.out}{_step(conv)}"
    return f"fc, {conv.out}" if layer.letter == "L" else NAMES[layer.letter]


def _step(shape: Conv | Pool) -> str:
    """`, /2`; with the pace first, `, /1×2×2`, where windows in time step otherwise."""
    stride, pace = shape.stride, shape.pace
    if shape.time > 1 and stride != pace:
        return f", /{pace}×{stride}×{stride}"
    return f", /{stride}" if stride > 1 else ""
