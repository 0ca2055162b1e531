"""Plots, ranges, tiles and shades: what is drawn lies where the numbers say."""

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from residua.analyse.regions import tint
from residua.report.axis import Axis, axis_from_zero
from residua.report.bars import BROAD, IntervalRow, ReferenceBar, bar_chart, interval_chart, reference_bars
from residua.report.chart import HEIGHT, WIDTH, Series, plot
from residua.report.colours import LIGHT
from residua.report.heat_maps import MAX_CELLS, confusion_matrix, heat_map
from residua.report.svg import wrap
from residua.report.tiles import Tile, picture_grid
from residua.report.training_curves import Curve, Panel, training_curves
from residua.tasks.detect.box_drawing import class_legend

SVG = "{http://www.w3.org/2000/svg}"


def dots(text: str) -> list[tuple[float, float]]:
    return [
        (float(c.get("cx", "nan")), float(c.get("cy", "nan")))
        for c in ET.fromstring(text).iter(f"{SVG}circle")
    ]


def texts(text: str) -> list[str]:
    return [node.text or "" for node in ET.fromstring(text).iter(f"{SVG}text")]


def test_dots_lie_in_proportion_and_within_the_drawing() -> None:
    centers = dots(plot((Series("", ((0, 0), (1, 5), (2, 10)), "dots"),), x="x", y="y"))
    (x0, y0), (x1, y1), (x2, y2) = centers
    assert x1 == pytest.approx((x0 + x2) / 2, abs=0.2)
    assert y1 == pytest.approx((y0 + y2) / 2, abs=0.2)
    assert y0 > y1 > y2 > 0
    assert 0 < x0 < x2 < WIDTH
    assert y0 < HEIGHT


def test_steps_of_a_logarithm_are_powers_of_ten() -> None:
    text = plot((Series("", ((0, 1e-16), (1, 1e-8), (2, 1)), "dots"),), x="x", y="y", logarithmic=True)
    ys = [y for _, y in dots(text)]
    assert ys[0] - ys[1] == pytest.approx(ys[1] - ys[2], abs=0.2)
    assert [word for word in texts(text) if word.startswith("10⁻")][:2] == ["10⁻¹⁶", "10⁻¹³"]


def test_a_short_logarithm_has_several_numbers() -> None:
    for low, high in ((0.027, 0.085), (1.2, 1.9), (3e-9, 4e-9), (1, 1), (0.9, 1.1), (20, 90)):
        axis = axis_from_zero((low, high), is_logarithmic=True)
        values = [value for value, _ in axis.ticks()]
        assert 2 <= len(values) <= 7
        assert all(-1e-9 <= axis.share(value) <= 1 + 1e-9 for value in (low, high, *values))
        assert axis.share(values[0]) == pytest.approx(0, abs=1e-9)
        assert axis.share(values[-1]) == pytest.approx(1, abs=1e-9)
    assert [text for _, text in axis_from_zero((0.027, 0.085), is_logarithmic=True).ticks()] == [
        "0.02", "0.05", "0.1",
    ]  # fmt: skip


def test_what_is_above_the_highest_value_is_cut_off() -> None:
    low, high = Series("low", ((1, 1.0), (2, 2.0))), Series("high", ((1, 1.5), (2, 90.0)))
    text = plot((low, high), x="x", y="y", highest=2.0)
    assert "90" not in texts(text)
    ends = {node.text: float(node.get("y", "nan")) for node in ET.fromstring(text).iter(f"{SVG}text")}
    assert 0 < ends["high"] < ends["low"] < HEIGHT
    assert [node.get("overflow") for node in ET.fromstring(text).iter(f"{SVG}svg")][1:] == ["hidden"]
    assert plot((low,), x="x", y="y", highest=2.0).count("<svg") == 1  # nothing is above it


def test_what_a_logarithm_cannot_show_is_left_out() -> None:
    text = plot(
        (Series("", ((0, 0.0), (1, -3.0), (2, 0.1), (3, math.nan)), "dots"),), x="x", y="y", logarithmic=True
    )
    assert len(dots(text)) == 1
    assert math.isnan(Axis(0, 1, True).share(0))


def test_a_network_keeps_its_colour_where_others_are_missing() -> None:
    text = plot((Series("second", ((0, 1), (1, 2)), "line", 1),), x="x", y="y")
    assert LIGHT.series[1] in text
    assert LIGHT.series[0] not in text


def test_all_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="give at least one"):
        Series("empty", ())
    with pytest.raises(ValueError, match="one value"):
        interval_chart((), unit="%")
    with pytest.raises(ValueError, match="without pictures"):
        picture_grid(((),))
    with pytest.raises(ValueError, match="give uint8"):
        Tile(np.zeros((3, 3)))
    for bad in (np.zeros((MAX_CELLS + 1, 3)), np.array([[math.inf]]), np.zeros(4)):
        with pytest.raises(ValueError, match="give finite numbers"):
            heat_map(bad, low="low", high="high")


def test_a_range_is_drawn_from_its_low_to_its_high_end() -> None:
    text = interval_chart(
        (IntervalRow("a", 50, 40, 70, "50 %"), IntervalRow("b", 60, 60, 60, "60 %")), unit="%"
    )
    (a, _), (b, _) = dots(text)[:2]  # those for a desktop; the same for a phone follow
    reach = next(line for line in ET.fromstring(text).iter(f"{SVG}line") if line.get("stroke-linecap"))
    low, high = float(reach.get("x1", "nan")), float(reach.get("x2", "nan"))
    assert (a - low) * 2 == pytest.approx(high - a, abs=0.5)
    assert (b - a) == pytest.approx(a - low, abs=0.5)


def test_what_is_counted_has_no_halves() -> None:
    text = plot((Series("", ((1, 3.0), (2, 2.0)), "both"),), x="epoch", y="loss")
    assert "0.5" not in texts(text)
    assert {"0", "1", "2"} <= set(texts(text))
    assert "0.5" in texts(plot((Series("", ((0.5, 3.0), (2, 2.0)), "both"),), x="", y=""))


def test_names_stand_right_of_the_axes_wherever_lines_end() -> None:
    short, whole = Series("short", ((0, 1), (20, 2))), Series("whole", ((0, 3), (90, 4)))
    root = ET.fromstring(plot((short, whole), x="recall", y="precision", until=(100.0, 100.0)))
    names = [node for node in root.iter(f"{SVG}text") if (node.text or "") in ("short", "whole")]
    level = [float(line.get("x2", "nan")) for line in root.iter(f"{SVG}line")]
    assert len({name.get("x") for name in names}) == 1
    assert float(names[0].get("x", "nan")) > sorted(level)[-2] - 1


def test_no_difference_is_drawn_on_a_scale_that_can_be_read() -> None:
    marks = texts(interval_chart((IntervalRow("same", 0, 0, 0, "+0.00"),), unit="points", zero=True))
    assert "0" in marks
    assert not [mark for mark in marks if "e" in mark and mark != "same"]


def test_shades_are_lowest_as_paper_and_highest_in_full_ink() -> None:
    text = heat_map(np.array([[0.0, 1.0], [2.0, 4.0]]), low="l", high="h")
    cells = [r for r in ET.fromstring(text).iter(f"{SVG}rect") if len(r)]
    assert [cell.get("style", "").rsplit(": ")[-1] for cell in cells] == ["0.250", "0.500", "1.000"]


def test_a_tint_turns_what_matters_vermilion_and_leaves_the_rest_grey() -> None:
    weights = np.array([[0.0, 1.0]])
    tinted = tint(np.full((1, 2, 3), 100, np.uint8), weights)
    assert tinted[0, 0].tolist() == [120, 120, 120]
    assert tinted[0, 1, 0] > tinted[0, 1, 1] + 50 > tinted[0, 1, 2]


def test_lines_lose_no_letter_and_end_between_words() -> None:
    assert wrap("american_pit_bull_terrier", 18) == ("american_pit_bull_", "terrier")
    assert wrap("short", 18) == ("short",)
    for length, lines in ((7, 0), (16, 2), (16, 1), (3, 0)):
        rows = wrap("a very/long name-of_a.class thatnobodywouldeverbreak", length, lines=lines)
        assert "".join(rows).replace(" ", "") == "averylong".replace("very", "very/") + (
            "name-of_a.classthatnobodywouldeverbreak"
        )
        assert lines or max(map(len, rows)) <= length
        assert not lines or len(rows) <= lines


LONG = ("Soft-coated-Wheaten-Terrier Canis/lupus/familiaris", "american_staffordshire_bull_terrier_42")


@pytest.mark.parametrize(
    "svg",
    [
        bar_chart(LONG, (3.0, 1.0), unit=""),
        interval_chart(tuple(IntervalRow(name, 5, 4, 6, "5") for name in LONG), unit="%"),
        reference_bars(tuple(ReferenceBar(name * 2, 5, 1, 6) for name in LONG), unit="%"),
        confusion_matrix(LONG, np.array([[3, 1], [0, 2]])),
        plot(tuple(Series(name, ((0, 1), (1, 2))) for name in LONG), x="x", y="y"),
        picture_grid((tuple(Tile(np.zeros((8, 8), np.uint8), name) for name in LONG),)),
        training_curves((Panel("", tuple(Curve(name, (0, 1), (9, 8), (9, 8)) for name in LONG)),)),
        class_legend(LONG),
    ],
    ids=["bars", "intervals", "reference", "confusion", "plot", "tiles", "curves", "legend"],
)
def test_no_label_is_cut(svg: str) -> None:
    written = "".join(texts(svg)).replace(" ", "")
    assert "\N{HORIZONTAL ELLIPSIS}" not in written
    for name in LONG:
        assert name.replace(" ", "") in written


def test_bars_use_the_width_of_the_page_and_of_a_phone() -> None:
    root = ET.fromstring(bar_chart(("a", "b"), (4.0, 2.0), unit=""))
    for view, width in zip(root.findall(f"{SVG}svg"), (BROAD, WIDTH), strict=True):
        full, half = (float(bar.get("width", "nan")) for bar in view.iter(f"{SVG}rect"))
        assert full == pytest.approx(2 * half, abs=0.2)
        assert full > 0.75 * width


def test_a_cell_of_a_confusion_matrix_links_to_its_pictures() -> None:
    root = ET.fromstring(confusion_matrix(("a", "b"), np.array([[3, 1], [2, 2]]), links={(0, 1): "cell-0-1"}))
    (link,) = root.iter(f"{SVG}a")
    assert link.get("href") == "#cell-0-1"
    assert "1 of 4" in (link[0][0].text or "")
