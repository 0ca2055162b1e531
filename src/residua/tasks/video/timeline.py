"""The timeline of a video: class probabilities over time, below frames of the video."""

import xml.etree.ElementTree as ET
from dataclasses import dataclass

import numpy as np

from residua.report.colours import Palette, page_palette
from residua.report.page import Figure, Numbers, Page, Section, Table, Text, png, render
from residua.report.svg import (
    TextStyle,
    add_lines,
    add_shape,
    add_text,
    add_tooltip,
    path_data,
    responsive_svg,
    spread_apart,
    ticks,
    to_string,
    wrap,
)
from residua.spec.amount import quantity
from residua.tasks.video.predictor import FRAMES, VideoPrediction
from residua.version import __version__

MAX_CURVES = 5
"""Most classes with a curve: the likeliest of the whole video."""

_GAP, _FOOT = 22, 34  # pixels between frames and curves, and below the curves


@dataclass(frozen=True, slots=True)
class _TimelineLayout:
    """Sizes of a timeline."""

    width: float
    """Pixels of the whole drawing."""
    height: float
    """Pixels of the curves."""
    left: float
    """Pixels left of them, for percentages."""
    right: float
    """Pixels right of them, for the names of classes."""
    frames: int
    """Frames above them."""
    max_name: int
    """Most characters of a line of a name."""

    @property
    def plot_width(self) -> float:
        """Pixels along the curves."""
        return self.width - self.left - self.right

    def frame_height(self, video: VideoPrediction) -> float:
        """Pixels of the frames from top to bottom."""
        return float(self.plot_width / self.frames * video.frames.shape[1] / video.frames.shape[2])

    def size(self, video: VideoPrediction) -> tuple[float, float]:
        """Pixels of the whole, across and down."""
        return self.width, self.frame_height(video) + _GAP + self.height + _FOOT


_DESKTOP, _PHONE = (
    _TimelineLayout(740, 190, 44, 130, FRAMES, 16),
    _TimelineLayout(350, 170, 30, 92, FRAMES // 2, 11),
)


def timeline_svg(video: VideoPrediction) -> str:
    """Draw the probabilities of a video over time: SVG text, laid out for desktops and for phones."""
    root, *views = responsive_svg(_DESKTOP.size(video), _PHONE.size(video))
    for view, layout in zip(views, (_DESKTOP, _PHONE), strict=True):
        _draw(view, video, layout)
    return to_string(root)


def timeline_page(videos: tuple[VideoPrediction, ...], network: str) -> str:
    """An HTML page with the timelines of `videos`, predicted by the network named `network`."""
    sections = tuple(_section(video) for video in videos)
    title = quantity(len(videos), "video") if len(videos) != 1 else videos[0].file.name
    lead = f"{network} on {title}: class probabilities over time, one clip at a time."
    footer = f"Written by residua {__version__}; the page works offline."
    return render(Page(f"Timeline of {title}", lead, sections, footer))


def _section(video: VideoPrediction) -> Section:
    (first, probability), *_ = video.top()
    count, unit = len(video.seconds), " s" if video.unit == "s" else " frames"
    numbers = (
        (first, f"likeliest of the whole video, {100 * probability:.0f} %"),
        (f"{video.length:.3g}{unit}", "length"),
        (str(count), "clips" if count > 1 else "clip: the video is not longer"),
    )
    caption = (
        f"Probability of the likeliest classes. Each point is one clip, drawn at its middle: {video.clip}."
    )
    rows = tuple((name, f"{100 * p:.1f} %") for name, p in video.top(MAX_CURVES))
    alternative = f"{first} leads with {100 * probability:.0f} % over the whole video."
    table = Table(("class", "mean over the video"), rows, numeric=(1,))
    return Section(
        video.file.name, (Numbers(numbers), Figure(timeline_svg(video), caption, alternative), table, _HINT)
    )


_HINT = Text(("Neighbouring clips share frames, which smooths the curves.",))


def _draw(view: ET.Element, video: VideoPrediction, layout: _TimelineLayout) -> None:
    """Draw evenly spread frames, and the curves below them."""
    palette, frame_height, frame_width = (
        page_palette(),
        layout.frame_height(video),
        layout.plot_width / layout.frames,
    )
    places = np.linspace(0, len(video.frames) - 1, layout.frames).round().astype(int)
    for place, frame in enumerate(video.frames[places]):
        left = layout.left + frame_width * place + 1
        box: dict[str, str | float] = {"x": left, "y": 0, "width": frame_width - 2, "height": frame_height}
        add_shape(view, "image", {**box, "href": png(frame), "preserveAspectRatio": "none"})
    plot = add_shape(view, "g", {"transform": f"translate({layout.left} {frame_height + _GAP:.1f})"})
    _axes(plot, video, layout, palette)
    _curves(plot, video, layout, palette)


def _axes(plot: ET.Element, video: VideoPrediction, layout: _TimelineLayout, palette: Palette) -> None:
    width = layout.plot_width
    for percent in (0, 50, 100):
        up = layout.height * (1 - percent / 100)
        add_shape(plot, "path", {"d": f"M0 {up:.1f}H{width:.1f}"}, style=f"stroke: {palette.grid}")
        add_text(plot, f"{percent}", (-8, up + 4), style=TextStyle(palette.muted, 12, anchor="end"))
    add_text(plot, "%", (-8, -8), style=TextStyle(palette.muted, 12, anchor="end"))
    for tick in ticks(video.length, most=layout.frames):
        along = width * tick / video.length
        add_text(
            plot,
            f"{tick:g}",
            (along, layout.height + 17),
            style=TextStyle(palette.muted, 12, anchor="middle"),
        )
    add_text(
        plot, video.unit, (width / 2, layout.height + 30), style=TextStyle(palette.muted, 12, anchor="middle")
    )


def _curves(plot: ET.Element, video: VideoPrediction, layout: _TimelineLayout, palette: Palette) -> None:
    width, height = layout.plot_width, layout.height
    classes = np.argsort(-video.probabilities.mean(0), kind="stable")[: min(MAX_CURVES, len(palette.series))]
    ends = [height * (1 - float(video.probabilities[-1, c])) for c in classes]
    names = [wrap(video.classes[c], layout.max_name) for c in classes.tolist()]
    gap = 16 * max(map(len, names))
    places = spread_apart(ends, gap=gap, low=4, high=height)
    curves = zip(classes.tolist(), palette.series, places, names, strict=False)
    for c, colour, place, lines in reversed(list(curves)):
        points = [
            (width * float(t) / video.length, height * (1 - float(p)))
            for t, p in zip(video.seconds, video.probabilities[:, c], strict=True)
        ]
        style = f"fill: none; stroke: {colour}; stroke-width: 2; stroke-linejoin: round"
        add_shape(plot, "path", {"d": path_data(points)}, style=style)
        for at, p in zip(points, video.probabilities[:, c], strict=True):
            dot = add_shape(plot, "circle", {"cx": at[0], "cy": at[1], "r": 2.5}, style=f"fill: {colour}")
            add_tooltip(dot, f"{video.classes[c]}: {100 * p:.1f} %")
        add_lines(plot, lines, (width + 10, place + 4), style=TextStyle(colour, 13))
