"""Changes of a network: their names, values and meaning, as code and help both read them."""

import ast
import inspect
from dataclasses import dataclass
from typing import TypedDict


class Changes(TypedDict, total=False):
    """Changes of a network; each is a pure function of the `Arch`."""

    shortcut: str
    """`A`, `A_after`, `B` or `C` (He et al. 2015, 4.1), or `scale0.5`, `scale0.5,0.5`, `gate`,
    `exclusive_gate`, `gate-3`, `conv`, `dropout` (He et al. 2016, table 1)."""
    order: str
    """`a` (original) to `e` (full pre-activation): order of norm, activation and addition (He et al. 2016,
    fig. 4)."""
    stride_on: str
    """`1x1` or `3x3`: which convolution of a bottleneck halves the map; the first as in the authors' code, or
    the second as in torchvision (v1.5)."""
    opening: str
    """First layers of preresnet18 to preresnet200: `fair`, `timm` or `mxnet`."""
    drop_path_rate: float
    """From 0 to below 1: share of images for which the last block drops its residual in training (stochastic
    depth, Huang et al. 2016)."""
    in_chans: int
    """Channels of the image: 3 for RGB, 1 for grey, any other number for multispectral bands."""
    img_size: int
    """Side of the input image in pixels."""
    num_classes: int
    """Number of outputs."""
    frames: int
    """Frames of a video that the network reads together; an image network is inflated."""
    segments: int
    """Segments of a video whose logits are averaged."""
    frame_stride: int
    """Distance between two frames in the video; 0 spreads them evenly."""
    output_stride: int
    """8, 16 or 32: the last map is at most so many times smaller than the image; strides become dilations."""
    drop_rate: float
    """From 0 to below 1: dropout before the last linear layer, in training."""
    global_pool: str
    """`avg`, `max` or `avgmax` (the mean of both): how the head reduces the last map."""


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One line of the table of changes."""

    name: str
    """Its name."""
    kind: str
    """Type of its value: `int`, `float` or `str`."""
    meaning: str
    """Its docstring in `Changes`: values and meaning."""


def change_rows() -> tuple[ChangeRow, ...]:
    """The table of changes, read from the source of `Changes`."""
    fields = ast.parse(inspect.getsource(Changes)).body[0].body[1:]  # type: ignore[attr-defined]
    pairs = zip(fields[::2], fields[1::2], strict=True)
    return tuple(
        ChangeRow(field.target.id, field.annotation.id, " ".join(text.value.value.split()))
        for field, text in pairs
    )
