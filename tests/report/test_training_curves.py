"""The figures: well-formed, repeatable, legible, and honest about what they were given."""

import dataclasses
import itertools
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_sample import HOSTILE, curve, drawings, panels

from residua.report import bars, heat_maps, svg, training_curves
from residua.report.colours import LIGHT

SVG = "{http://www.w3.org/2000/svg}"
NAMES = sorted(drawings())


@pytest.mark.parametrize("name", NAMES)
def test_every_drawing_is_well_formed_and_the_same_each_time(name: str) -> None:
    text = drawings()[name]
    assert ET.fromstring(text).tag == f"{SVG}svg"
    assert text == drawings()[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_label_is_written_as_a_label(name: str) -> None:
    root = ET.fromstring(drawings()[name])
    assert not list(root.iter(f"{SVG}script"))
    assert "<script>" in "".join(root.itertext())


@pytest.mark.parametrize("name", NAMES)
def test_a_drawing_has_no_ids_so_none_can_clash_in_one_page(name: str) -> None:
    assert not [node for node in ET.fromstring(drawings()[name]).iter() if "id" in node.attrib]


def test_training_is_thin_and_test_is_bold_in_one_colour() -> None:
    root = ET.fromstring(training_curves.training_curves((training_curves.Panel("one", (curve("net", 3),)),)))
    thin, bold = (node.get("style", "").split("; ") for node in root[0].iter(f"{SVG}path"))
    assert thin[1] == bold[1] == f"stroke: var(--series-1, {LIGHT.series[0]})"
    assert (thin[2], bold[2]) == ("stroke-width: 1.1", "stroke-width: 2.6")


def test_the_papers_end_is_a_named_ring_in_the_colour_of_its_curve() -> None:
    with_paper = dataclasses.replace(curve("net", 3), paper=45.0)
    for line, rings in ((with_paper, 2), (curve("net", 3), 0)):  # one on the curve, one in the key
        root = ET.fromstring(training_curves.training_curves((training_curves.Panel("one", (line,)),)))
        assert len(list(root[0].iter(f"{SVG}circle"))) == rings
    root = ET.fromstring(training_curves.training_curves((training_curves.Panel("one", (with_paper,)),)))
    ring = next(root[0].iter(f"{SVG}circle"))
    path = next(root[0].iter(f"{SVG}path")).get("d", "")
    assert float(ring.get("cx", "0")) == float(path.split("L")[-1].split()[0])
    assert f"stroke: var(--series-1, {LIGHT.series[0]})" in ring.get("style", "")
    assert "paper 45.00" in [text.text for text in root[0].iter(f"{SVG}text")]


def test_the_band_of_all_seeds_lies_behind_the_curve() -> None:
    line = curve("net", 3)
    band = tuple((error - 2, error + 3) for error in line.test)
    panel = training_curves.Panel("one", (dataclasses.replace(line, band=band),))
    paths = list(ET.fromstring(training_curves.training_curves((panel,)))[0].iter(f"{SVG}path"))
    assert len(paths) == 3
    assert "fill-opacity: 0.16" in paths[0].get("style", "")
    assert (
        paths[0].get("d", "").count(" ") == 6
    )  # three known errors: along the highest, back along the lowest
    with pytest.raises(ValueError, match="equally many"):
        dataclasses.replace(line, band=band[1:])


def test_counts_of_thousands_are_written_out() -> None:
    chart = bars.bar_chart(("RBC", "WBC"), (3348.0, 0.5), unit="")
    assert "3,348" in chart
    assert "0.5" in chart


def test_bars_beside_the_paper_are_to_scale() -> None:
    rows = (bars.ReferenceBar("a", 5.0, 1.0, 10.0), bars.ReferenceBar("b", 10.0, float("nan"), float("nan")))
    root = ET.fromstring(bars.reference_bars(rows, unit="%"))
    key, first, second = (float(node.get("width", "0")) for node in root.iter(f"{SVG}rect"))
    assert second == pytest.approx(2 * first, abs=0.2)
    paths = [node.get("d", "") for node in root.iter(f"{SVG}path")]
    assert len(paths) == 2  # the key, and one paper's number
    assert float(paths[1][1:].split()[0]) == pytest.approx(second, abs=0.2)
    assert key > 0
    with pytest.raises(ValueError, match="at least one"):
        bars.reference_bars((), unit="%")


def test_the_phone_sees_every_net_that_the_desk_sees() -> None:
    broad, slim = ET.fromstring(training_curves.training_curves(panels()))
    assert slim.get("display") == "none"
    for name in ("plain-20", "residual-20", "residual-56", "error (%)", "training", "test"):
        assert name in list(broad.itertext())
        assert name in list(slim.itertext())


def test_names_that_end_together_do_not_overlap() -> None:
    together = tuple(curve(f"net-{place}", 1 + place / 100) for place in range(9))
    root = ET.fromstring(training_curves.training_curves((training_curves.Panel("crowd", together),)))
    for frame in root:
        ends = [node for node in frame.iter(f"{SVG}text") if (node.text or "").startswith("net-")]
        heights = sorted(float(node.get("y", "nan")) for node in ends)
        assert len(heights) == 9
        assert min(np.diff(heights)) >= 13


def test_everything_lies_within_its_frame() -> None:
    crowd = tuple(curve(f"a rather long name {place}", 1) for place in range(30))
    for node in ET.fromstring(training_curves.training_curves((training_curves.Panel("crowd", crowd),))):
        _, _, width, height = map(float, node.get("viewBox", "").split())
        for text in node.iter(f"{SVG}text"):
            assert 0 <= float(text.get("x", "nan")) <= width
            assert 0 <= float(text.get("y", "nan")) <= height


def test_errors_above_the_highest_are_cut_off_at_the_frame() -> None:
    """The curve that ends at 3 fills the plot; the one that ends at 81 is named at its upper edge."""
    cut = training_curves.training_curves(panels(), highest=30.0)
    (broad, *_) = ET.fromstring(cut)
    frames = [node for node in broad.iter(f"{SVG}svg") if node.get("overflow") == "hidden"]
    assert len(frames) == len(panels())
    assert all(node.findall(f"{SVG}path") for node in frames)
    _, _, _, height = map(float, broad.get("viewBox", "").split())
    assert all(0 <= float(text.get("y", "nan")) <= height for text in broad.iter(f"{SVG}text"))
    assert "overflow" not in training_curves.training_curves(panels())


def test_a_gap_in_the_measurements_is_bridged_and_one_point_is_a_dot() -> None:
    nan = float("nan")
    assert svg.path_data([(0, 1), (nan, 2), (2, nan), (3, 4)]) == "M0 1L3 4"
    assert svg.path_data([(0.04, 1.26)]) == "M0 1.3Z"
    assert svg.path_data([(nan, 1)]) == ""


def test_a_run_of_one_perfect_epoch_can_be_drawn() -> None:
    ET.fromstring(
        training_curves.training_curves(
            (training_curves.Panel("", (training_curves.Curve("", (0,), (0,), (0,)),)),)
        )
    )


def test_the_readme_card_has_fixed_colours_and_its_size() -> None:
    text = training_curves.readme_figure(panels(), "Deeper is worse")
    root = ET.fromstring(text)
    assert (root.get("width"), root.get("height")) == ("1200", "520")
    assert "var(" not in text
    assert root[0].text == "Deeper is worse"


def test_cells_are_numbered_up_to_twelve_classes() -> None:
    def texts(many: int) -> list[str]:
        matrix = heat_maps.confusion_matrix(tuple("abcdefghijklm"[:many]), np.eye(many, dtype=int) * 77)
        return [node.text or "" for node in ET.fromstring(matrix).iter(f"{SVG}text")]

    assert texts(12).count("77") == 12
    assert texts(13).count("77") == 0


def test_a_cell_says_what_was_taken_for_what() -> None:
    matrix = heat_maps.confusion_matrix(("cat", "dog"), np.array([[8, 2], [0, 9]]))
    assert any(re.search("cat .*dog: 2 of 10", text) for text in ET.fromstring(matrix).itertext())


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="1 training and 2 test"):
        training_curves.Curve("net", (0, 1), (1,), (1, 2))
    with pytest.raises(ValueError, match="no curves"):
        training_curves.Panel("empty", ())
    with pytest.raises(ValueError, match="no panels"):
        training_curves.training_curves(())
    with pytest.raises(ValueError, match="1 labels and 2 values"):
        bars.bar_chart(("a",), (1, 2), unit="%")
    with pytest.raises(ValueError, match=r"int64 \(2, 2\) for 1 classes"):
        heat_maps.confusion_matrix((HOSTILE,), np.eye(2, dtype=np.int64))


@given(st.lists(st.floats(0, 300), min_size=1, max_size=30), st.floats(1, 20))
def test_spread_labels_keep_their_gap_and_their_order(desired: list[float], gap: float) -> None:
    places = svg.spread_apart(desired, gap=gap, low=0, high=300)
    in_order = [places[place] for place in sorted(range(len(desired)), key=lambda place: desired[place])]
    assert all(below - above >= gap - 1e-6 for above, below in itertools.pairwise(in_order))
    assert in_order[0] >= 0
    assert in_order[-1] <= max(300, gap * (len(desired) - 1)) + 1e-6


@given(st.lists(st.integers(0, 10), min_size=1, max_size=10, unique=True))
def test_labels_with_room_stay_where_they_are(desired: list[int]) -> None:
    assert svg.spread_apart(desired, gap=1, low=0, high=10) == pytest.approx(desired)


@given(st.floats(1e-3, 1e6))
def test_ticks_are_few_round_and_within(top: float) -> None:
    marks = svg.ticks(top)
    assert 3 <= len(marks) <= 6
    assert marks[0] == 0
    assert marks[-1] <= top * (1 + 1e-6)
