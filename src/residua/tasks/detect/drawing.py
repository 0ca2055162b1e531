"""Boxes drawn on pictures: as pixels for files, and as lines over a picture for pages."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from residua.data.boxes import Boxes
from residua.report.colours import LIGHT, page_palette
from residua.report.page import LARGE, png
from residua.report.svg import TextStyle, add_shape, add_text, add_tooltip, new_svg, shorten, to_string
from residua.tasks.detect.found import Detections

_WIDE = 300  # pixels of an image for each pixel of a line
_TYPE = 46  # the same for the size of type
_LEAST_TYPE = 11  # pixels: smaller type cannot be read
_PAD = 3  # pixels around the words of a tag


def colour_of(label: int) -> str:
    """The colour of a class: that of its place, on every picture."""
    return LIGHT.series[label % len(LIGHT.series)]


def painted(image: Image.Image, found: Detections, classes: Sequence[str]) -> Image.Image:
    """A copy of `image` in RGB with the boxes `found`, each with its class and how sure it is.

    Tags lie on top of boxes, those of the surest on top of others.
    """
    canvas = image.convert("RGB")
    pen = ImageDraw.Draw(canvas)
    side = max(canvas.size)
    font = ImageFont.load_default(max(_LEAST_TYPE, side / _TYPE))
    width = max(2, round(side / _WIDE))
    order = np.argsort(found.scores, kind="stable").tolist()
    for i in order:
        left, top, right, bottom = found.corners[i].tolist()
        edges = (left, top, max(left, right - 1), max(top, bottom - 1))
        pen.rectangle(edges, outline=colour_of(int(found.labels[i])), width=width)
    for i in order:
        label, corner = int(found.labels[i]), (float(found.corners[i][0]), float(found.corners[i][1]))
        _tag(
            pen,
            f"{classes[label]} {100 * found.scores[i]:.0f} %",
            corner,
            canvas.size,
            colour_of(label),
            font,
        )
    return canvas


def outlined(image: Image.Image, boxes: Boxes, scale: float) -> Image.Image:
    """A copy of `image`, which is `scale` times as large as the one that `boxes` are marked in, with them."""
    canvas = image.convert("RGB")
    pen = ImageDraw.Draw(canvas)
    for corners, label in zip(boxes.corners, boxes.labels.tolist(), strict=True):
        left, top, right, bottom = (scale * float(side) for side in corners)
        pen.rectangle(
            (left, top, max(left, right - 1), max(top, bottom - 1)), outline=colour_of(label), width=2
        )
    return canvas


def figure(
    pixels: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]",
    found: Detections,
    right: Sequence[bool],
    missed: Boxes,
    classes: Sequence[str],
) -> str:
    """A picture under the boxes `found`, thin where one is not `right`, and dashed those `missed`."""
    (root, scale), palette = _picture(pixels), page_palette()
    for corners, label in zip(missed.corners, missed.labels.tolist(), strict=True):
        for ink, width in (("#000000", 3.5), ("#ffffff", 1.75)):  # seen on dark and on light
            dashes = f"fill: none; stroke: {ink}; stroke-width: {width}; stroke-dasharray: 5 4"
            add_tooltip(
                add_shape(root, "rect", _place(corners, scale), style=dashes), f"missed: {classes[label]}"
            )
    for i in range(len(found)):
        label = int(found.labels[i])
        ink = palette.series[label % len(palette.series)]
        style = f"fill: none; stroke: {ink}; stroke-width: {2.5 if right[i] else 1}"
        said = f"{classes[label]} {100 * found.scores[i]:.0f} %{'' if right[i] else ', wrong'}"
        add_tooltip(add_shape(root, "rect", _place(found.corners[i], scale), style=style), said)
    return to_string(root)


def marked(
    pixels: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]", boxes: Boxes, classes: Sequence[str]
) -> str:
    """A picture under the boxes that are marked in it."""
    (root, scale), palette = _picture(pixels), page_palette()
    for corners, label in zip(boxes.corners, boxes.labels.tolist(), strict=True):
        style = f"fill: none; stroke: {palette.series[label % len(palette.series)]}; stroke-width: 2.5"
        add_tooltip(add_shape(root, "rect", _place(corners, scale), style=style), classes[label])
    return to_string(root)


def key(classes: Sequence[str]) -> str:
    """Which colour is which class, on one line for each three of them."""
    palette = page_palette()
    root = new_svg(460, 22 * -(-len(classes) // 3))
    for place, name in enumerate(classes):
        left, top = 155 * (place % 3), 22 * (place // 3)
        ink = palette.series[place % len(palette.series)]
        box: dict[str, str | float] = {"x": left + 1.5, "y": top + 4, "width": 14, "height": 12}
        add_shape(root, "rect", box, style=f"fill: none; stroke: {ink}; stroke-width: 2.5")
        add_tooltip(
            add_text(root, shorten(name, 16), (left + 24, top + 15), hand=TextStyle(palette.text)), name
        )
    return to_string(root)


def _picture(pixels: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> tuple[ET.Element, float]:
    """A drawing that begins with the picture, and its pixels for each of the picture's."""
    high, wide = pixels.shape[:2]
    scale = min(1.0, LARGE / max(high, wide))
    root = new_svg(scale * wide, scale * high)
    size: dict[str, str | float] = {"width": scale * wide, "height": scale * high}
    add_shape(root, "image", {"x": 0, "y": 0, **size, "href": png(pixels)})
    return root, scale


def _place(corners: "np.ndarray[tuple[int], np.dtype[np.float32]]", scale: float) -> dict[str, str | float]:
    left, top, right, bottom = (scale * float(side) for side in corners)
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}


def _tag(
    pen: ImageDraw.ImageDraw,
    said: str,
    at: tuple[float, float],
    size: tuple[int, int],
    colour: str,
    font: "ImageFont.ImageFont | ImageFont.FreeTypeFont",
) -> None:
    """`said` in white on `colour` above the corner `at`, or inside of it where there is no room."""
    _, _, wide, high = pen.textbbox((0, 0), said, font=font)
    wide, high = wide + 2 * _PAD, high + 2 * _PAD
    left = max(0.0, min(at[0], size[0] - wide))
    top = at[1] - high if at[1] >= high else at[1]
    pen.rectangle((left, top, left + wide, top + high), fill=colour)
    pen.text((left + _PAD, top + _PAD), said, fill="white", font=font)
