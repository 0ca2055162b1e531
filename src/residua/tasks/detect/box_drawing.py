"""Draw boxes on images: as pixels for image files and sheets, as SVG for reports.

A class has the same colour on every image of a set: the colour of its label in the palette of the reports.
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from residua.data.boxes import Boxes
from residua.report.colours import LIGHT, Palette, page_palette
from residua.report.page import LARGE, png
from residua.report.svg import TextStyle, add_shape, add_text, add_tooltip, new_svg, text_width, to_string
from residua.tasks.detect.prediction import BoxPrediction

_SIDE_PER_LINE = 300  # pixels of the longer side of an image for each pixel of line width
_SIDE_PER_TYPE = 46  # the same for the font size
_MIN_TYPE = 11  # pixels: smaller type cannot be read
_PADDING = 3  # pixels around the text of a tag
_STROKE = 2.5  # pixels: line width in SVG
_LEGEND = 460  # pixels across a line of the legend of colours


def class_colour(label: int, palette: Palette = LIGHT) -> str:
    """The colour of class `label`, counted from 0, as a CSS value."""
    return palette.series[label % len(palette.series)]


def draw_detections(image: Image.Image, detections: BoxPrediction, classes: Sequence[str]) -> Image.Image:
    """Draw detections with their class names and scores.

    Args:
        image: the image in which they were detected.
        detections: their boxes are in its pixels.
        classes: names of the classes.

    Returns:
        A copy of the image in RGB. Tags cover boxes; tags of higher scores cover others.
    """
    canvas = image.convert("RGB")
    pen = ImageDraw.Draw(canvas)
    side = max(canvas.size)
    font = ImageFont.load_default(max(_MIN_TYPE, side / _SIDE_PER_TYPE))
    width = max(2, round(side / _SIDE_PER_LINE))
    order = np.argsort(detections.scores, kind="stable").tolist()
    for i in order:
        _draw_rectangle(pen, detections.corners[i].tolist(), int(detections.labels[i]), width)
    for i in order:
        label, (left, top) = int(detections.labels[i]), detections.corners[i][:2].tolist()
        text = f"{classes[label]} {100 * detections.scores[i]:.0f} %"
        _draw_tag(pen, text, (left, top), canvas.size, class_colour(label), font)
    return canvas


def draw_boxes(image: Image.Image, boxes: Boxes, scale: float) -> Image.Image:
    """Draw ground truth boxes without names.

    Args:
        image: the image, possibly resized.
        boxes: objects in pixels of the original image.
        scale: pixels of `image` for each pixel of the original image.

    Returns:
        A copy of the image in RGB.
    """
    canvas = image.convert("RGB")
    pen = ImageDraw.Draw(canvas)
    for corners, label in zip(boxes.corners, boxes.labels.tolist(), strict=True):
        _draw_rectangle(pen, [scale * float(side) for side in corners], label, 2)
    return canvas


def evaluation_svg(
    pixels: NDArray[np.uint8],
    detections: BoxPrediction,
    is_true_positive: Sequence[bool],
    missed: Boxes,
    classes: Sequence[str],
) -> str:
    """An image with detections and missed objects.

    Args:
        pixels: the image, (H, W, 3) or (H, W).
        detections: true positives are drawn thick, false positives thin.
        is_true_positive: of each detection.
        missed: objects without a detection (false negatives), drawn dashed.
        classes: names of the classes, shown as tooltips.

    Returns:
        SVG text.
    """
    (root, scale), palette = _image_svg(pixels), page_palette()
    for corners, label in zip(missed.corners, missed.labels.tolist(), strict=True):
        for colour, width in (("#000000", 3.5), ("#ffffff", 1.75)):  # visible on dark and on light images
            style = f"fill: none; stroke: {colour}; stroke-width: {width}; stroke-dasharray: 5 4"
            _add_rectangle(root, corners, scale, style, f"missed: {classes[label]}")
    for i, is_right in enumerate(is_true_positive):
        label = int(detections.labels[i])
        style = _outline(class_colour(label, palette), _STROKE if is_right else 1)
        text = f"{classes[label]} {100 * detections.scores[i]:.0f} %{'' if is_right else ', wrong'}"
        _add_rectangle(root, detections.corners[i], scale, style, text)
    return to_string(root)


def boxes_svg(pixels: NDArray[np.uint8], boxes: Boxes, classes: Sequence[str]) -> str:
    """An image with its ground truth boxes.

    Args:
        pixels: the image, (H, W, 3) or (H, W).
        boxes: objects in its pixels.
        classes: names of the classes, shown as tooltips.

    Returns:
        SVG text.
    """
    (root, scale), palette = _image_svg(pixels), page_palette()
    for corners, label in zip(boxes.corners, boxes.labels.tolist(), strict=True):
        _add_rectangle(root, corners, scale, _outline(class_colour(label, palette)), classes[label])
    return to_string(root)


def class_legend(classes: Sequence[str]) -> str:
    """The colour of each class as SVG text, as many a line as fit."""
    palette, style = page_palette(), TextStyle(page_palette().text)
    places, x, y = list[tuple[float, float]](), 0.0, 0.0
    for name in classes:
        width = 24 + text_width(name, style.pixels) + 20
        if x and x + width > _LEGEND:
            x, y = 0.0, y + 22
        places.append((x, y))
        x += width
    rights = [x + 24 + text_width(name, style.pixels) for name, (x, _) in zip(classes, places, strict=True)]
    root = new_svg(max(_LEGEND, *rights), y + 22)
    for label, (name, (left, top)) in enumerate(zip(classes, places, strict=True)):
        box: dict[str, str | float] = {"x": left + 1.5, "y": top + 4, "width": 14, "height": 12}
        add_shape(root, "rect", box, style=_outline(class_colour(label, palette)))
        add_text(root, name, (left + 24, top + 15), style=style)
    return to_string(root)


def _image_svg(pixels: NDArray[np.uint8]) -> tuple[ET.Element, float]:
    """An SVG with the image at the bottom, and its pixels for each pixel of the image."""
    height, width = pixels.shape[:2]
    scale = min(1.0, LARGE / max(height, width))
    root = new_svg(scale * width, scale * height)
    size: dict[str, str | float] = {"width": scale * width, "height": scale * height}
    add_shape(root, "image", {"x": 0, "y": 0, **size, "href": png(pixels)})
    return root, scale


def _add_rectangle(
    root: ET.Element, corners: NDArray[np.float32], scale: float, style: str, text: str
) -> None:
    left, top, right, bottom = (scale * float(side) for side in corners)
    box: dict[str, str | float] = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    add_tooltip(add_shape(root, "rect", box, style=style), text)


def _outline(colour: str, width: float = _STROKE) -> str:
    return f"fill: none; stroke: {colour}; stroke-width: {width}"


def _draw_rectangle(pen: ImageDraw.ImageDraw, corners: Sequence[float], label: int, width: int) -> None:
    left, top, right, bottom = corners
    edges = (left, top, max(left, right - 1), max(top, bottom - 1))  # Pillow draws the last pixel, too
    pen.rectangle(edges, outline=class_colour(label), width=width)


def _draw_tag(
    pen: ImageDraw.ImageDraw,
    text: str,
    corner: tuple[float, float],
    size: tuple[int, int],
    colour: str,
    font: "ImageFont.ImageFont | ImageFont.FreeTypeFont",
) -> None:
    """White text on `colour`, above `corner` or, at the upper edge of an image of `size`, below it."""
    _, _, width, height = pen.textbbox((0, 0), text, font=font)
    width, height = width + 2 * _PADDING, height + 2 * _PADDING
    left = max(0.0, min(corner[0], size[0] - width))
    top = corner[1] - height if corner[1] >= height else corner[1]
    pen.rectangle((left, top, left + width, top + height), fill=colour)
    pen.text((left + _PADDING, top + _PADDING), text, fill="white", font=font)
