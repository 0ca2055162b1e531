"""Networks as pictures: what stands in them, that nothing overlaps, and that every name can be drawn."""

import itertools
import pathlib
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest

from few import one_of_each_family
from residua.report import drawing
from residua.report.colours import DARK, LIGHT
from residua.spec import change, zoo
from residua.spec.arch import Arch

SVG = "{http://www.w3.org/2000/svg}"


def studied(option: str) -> Arch:
    return change.with_shortcut(zoo.arch("cifar_resnet110"), option)


def words(svg: str) -> list[str]:
    return [node.text or "" for node in ET.fromstring(svg).iter(f"{SVG}text")]


def curves(svg: str) -> list[str]:
    """Styles of the shortcuts of a column."""
    paths = [node for node in ET.fromstring(svg).iter(f"{SVG}path") if "C" in node.get("d", "")]
    return [node.get("style", "") for node in paths]


def places(svg: str, text: str) -> list[tuple[float, float]]:
    nodes = [node for node in ET.fromstring(svg).iter(f"{SVG}text") if node.text == text]
    return [(float(node.get("x", "nan")), float(node.get("y", "nan"))) for node in nodes]


def test_a_drawing_says_where_the_zeros_of_option_a_are() -> None:
    both, after = (words(drawing.draw_blocks([studied(option)])) for option in ("A", "A_after"))
    assert any(text.startswith("zeros to 32") for text in both)
    assert any(text.startswith("append zeros to 32") for text in after)


def test_every_convolution_of_resnet34_is_a_box_and_every_block_a_curve() -> None:
    svg = drawing.draw_networks([zoo.arch("plain34"), zoo.arch("resnet34")])
    boxes = [text for text in words(svg) if re.match(r"\d+×\d+ conv, \d+", text)]
    assert len([text for text in boxes if not text.startswith("1×1")]) == 2 * 33
    assert len([text for text in boxes if text.startswith("1×1")]) == 3
    styles = curves(svg)
    assert len(styles) == 16
    assert sum("dasharray" in style for style in styles) == 3
    assert [text for text in words(svg) if " × " in text and "image" not in text] == [
        f"{side} × {side}" for side in (112, 56, 28, 14, 7, 1)
    ]


def test_twins_are_aligned_box_by_box() -> None:
    svg = drawing.draw_networks([zoo.arch("plain34"), zoo.arch("resnet34")])
    for text in ("7×7 conv, 64, /2", "3×3 conv, 128, /2", "3×3 conv, 512", "fc, 1000"):
        points = places(svg, text)
        half = len(points) // 2
        assert [y for _, y in points[:half]] == [y for _, y in points[half:]]


def test_networks_of_other_sizes_are_aligned_stage_by_stage() -> None:
    svg = drawing.draw_networks([zoo.arch("resnet18"), zoo.arch("cifar_resnet20")])
    for ours, theirs in (("3×3 conv, 128, /2", "3×3 conv, 32, /2"), ("fc, 1000", "fc, 10")):
        assert places(svg, ours)[0][1] == places(svg, theirs)[0][1]


def test_a_thousand_layers_are_a_page_that_says_how_often() -> None:
    svg = drawing.draw_networks([zoo.arch("cifar_resnet1202")])
    assert [text for text in words(svg) if text.endswith(" ×")] == ["200 ×", "199 ×", "199 ×"]
    assert float(ET.fromstring(svg).get("height", "nan")) < 1000
    whole = drawing.draw_networks([zoo.arch("cifar_resnet56")], fold=False)
    assert len(curves(whole)) == 27


def test_a_block_is_drawn_in_the_order_of_its_letters() -> None:
    svg = drawing.draw_blocks([zoo.arch("cifar_preresnet110")])
    texts = words(svg)
    start = texts.index("(NAC NAC)")
    assert texts[start + 3 : start + 9] == ["BN", "ReLU", "3×3 conv, 16"] * 2
    assert "51 of 54 blocks" in texts
    assert "identity" in texts


@pytest.mark.parametrize("name", ["iresnet50", "resstage50", "cifar_iresnet164", "iresgroup50_released"])
def test_the_blocks_of_a_resstage_are_named_start_middle_and_end(name: str) -> None:
    arch = zoo.arch(name)
    column = words(drawing.draw_column_only(arch))
    roles = [text for text in column if text in ("Start", "Middle", "End")]
    assert roles == ["Start", "Middle", "End"] * len(arch.stages)
    captions = [text for text in words(drawing.draw_blocks([arch])) if text.endswith("blocks")]
    assert {text.partition(":")[0] for text in captions} == {"Start", "Middle", "End"}


@pytest.mark.parametrize("name", ["resnet50", "cifar_preresnet110", "resgroup50", "googlenet_2014"])
def test_blocks_of_other_networks_have_no_part(name: str) -> None:
    texts = words(drawing.draw_networks([zoo.arch(name)])) + words(drawing.draw_blocks([zoo.arch(name)]))
    assert not {"Start", "Middle", "End"} & {text.partition(":")[0] for text in texts}


@pytest.mark.parametrize(
    ("option", "expected"),
    [("gate", ["sigmoid", "1 − g"]), ("exclusive_gate", ["sigmoid", "1 − g", "g"]), ("scale0.5", ["0.5"])],
)
def test_the_studies_show_what_they_do_to_the_shortcut(option: str, expected: list[str]) -> None:
    texts = words(drawing.draw_blocks([studied(option)]))
    assert [word for word in expected if word not in texts] == []
    assert "g" in expected or "g" not in texts


def test_a_fork_shows_its_branches_side_by_side_and_auxiliary_heads() -> None:
    svg = drawing.draw_networks([zoo.arch("googlenet_2014")])
    branches = [places(svg, text)[0] for text in ("1×1 conv, 64", "1×1 conv, 96", "1×1 conv, 16")]
    assert words(svg).count("auxiliary head:") == 2
    assert len({y for _, y in branches[1:]}) == 1
    assert branches[1][0] < branches[2][0]


@pytest.mark.parametrize("name", one_of_each_family(zoo.NAMES))
def test_every_name_can_be_drawn_and_is_described(name: str) -> None:
    spec = zoo.arch(name)
    for svg in (drawing.draw_networks([spec]), drawing.draw_blocks([spec])):
        root = ET.fromstring(svg)
        assert root.get("role") == "img"
        assert (root[0].tag, root[1].tag) == (f"{SVG}title", f"{SVG}desc")
        assert name in (root[0].text or "")
        assert spec.stages[-1][0].word in (root[1].text or "")
        assert not [node for node in root.iter() if "id" in node.attrib]


def test_colours_are_plain_and_exchanged_in_the_dark() -> None:
    svg = drawing.draw_networks([zoo.arch("resnet18")])
    assert "var(" not in svg
    style = ET.fromstring(svg).find(f"{SVG}style")
    assert style is not None
    assert f'[style*="fill: {LIGHT.background}"]{{fill:{DARK.background}!important}}' in (style.text or "")


@pytest.fixture(scope="module")
def tab() -> Iterator[object]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser.new_page(viewport={"width": 2000, "height": 3000})
        browser.close()


@pytest.mark.parametrize(
    "names",
    [
        ("vgg19", "plain34", "resnet34"),
        ("iresnet50",),
        ("cifar_preresnet1001",),
        ("iresgroupfix152_released", "resgroup152"),
        ("googlenet_2014", "resnext50_32x4d"),
        ("smallconvnet", "resmlp"),
    ],
)
def test_no_words_overlap_or_run_out(tab: object, tmp_path: pathlib.Path, names: tuple[str, ...]) -> None:
    archs = [zoo.arch(name) for name in names]
    for svg in (drawing.draw_networks(archs), drawing.draw_blocks([*archs, studied("exclusive_gate")])):
        file = tmp_path / "drawing.svg"
        file.write_text(svg, "utf-8")
        tab.goto(file.as_uri())
        boxes = tab.evaluate(
            "[...document.querySelectorAll('text')].map(t => {const b = t.getBBox();"
            " return [t.textContent, b.x, b.y, b.x + b.width, b.y + b.height]})"
        )
        root = ET.fromstring(svg)
        width, height = float(root.get("width", "nan")), float(root.get("height", "nan"))
        assert boxes
        for text, left, top, right, bottom in boxes:
            assert 0 <= left <= right <= width, text
            assert 0 <= top <= bottom <= height, text
        for (one, l1, t1, r1, b1), (two, l2, t2, r2, b2) in itertools.combinations(boxes, 2):
            assert not (l1 < r2 and l2 < r1 and t1 < b2 - 3 and t2 < b1 - 3), f"{one!r} over {two!r}"


def test_clips_are_drawn_with_their_frames() -> None:
    svg = drawing.draw_networks([zoo.arch("resnet18"), zoo.arch("resnet3d18")])
    texts = words(svg)
    assert "clip, 3 × 16 × 112 × 112" in texts
    assert {"56 × 56", "16 × 56 × 56", "8 × 28 × 28", "3×7×7 conv, 64, /1×2×2", "3×3×3 conv, 128, /2"} <= {
        *texts
    }
