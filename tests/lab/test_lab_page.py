"""The page of the lab in Chromium: runs, curves, jobs and papers, by mouse, by keyboard and on a phone."""

import hashlib
import json
import os
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab_runs import folder_of_runs, metrics_row, write_run

from chromium import Tab, chromium
from residua.lab.app import PAGE, SHARED
from residua.serve.pages import FOLDER, page_files
from server_process import Server, serving

KB = 1000
UPLOT = "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f"
"""SHA-256 of uplot.js of uPlot 1.6.32, as npm has it."""
WIDTHS = (1280, 320)
"""Pixels of the windows in which each journey is made."""
LOOKS: tuple[dict[str, Any], ...] = (
    {"viewport": {"width": 1280, "height": 900}},
    {"viewport": {"width": 390, "height": 800}, "color_scheme": "dark", "reduced_motion": "reduce"},
    {"viewport": {"width": 320, "height": 640}, "forced_colors": "active"},
)
DRAWN = "() => Number(document.querySelector('.plot')?.dataset.drawn ?? 0)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, trained: Path) -> Path:
    """Five runs, and those that tests add."""
    return folder_of_runs(tmp_path_factory.mktemp("page") / "runs", trained)


@pytest.fixture(scope="module")
def lab(runs: Path) -> Iterator[Server]:
    """One lab for all tests of the page."""
    with serving(
        runs, command="lab", env=os.environ | {"XDG_CACHE_HOME": str(runs.parent / "cache")}
    ) as server:
        yield server


@pytest.fixture(params=WIDTHS)
def tab(request: pytest.FixtureRequest, browser: Any, lab: Server) -> Iterator[Tab]:
    tab = Tab(browser, lab.address, viewport={"width": request.param, "height": 800})
    tab.page.wait_for_selector("tbody tr")
    yield tab
    assert not [url for url in tab.requests if not url.startswith((lab.address, "blob:", "data:"))]
    tab.close()


def names(tab: Tab) -> list[str]:
    return tab.texts("tbody th[scope=row] a")


def wait_drawn(tab: Tab, more_than: int = 0) -> int:
    tab.page.wait_for_function(f"() => ({DRAWN})() > {more_than} && !document.querySelector('.plot.loading')")
    return int(tab.page.evaluate(DRAWN))


def test_runs_are_filtered_sorted_and_grouped(tab: Tab) -> None:
    tab.page.wait_for_function("() => document.querySelectorAll('td strong').length >= 5")
    own = {"colours", "again-1", "again-2", "group/stopped", "<img src=x onerror=alert(1)>"}
    assert own <= {*names(tab)}, "a name is text, never markup"
    tab.page.click("th button:has-text('Best')")
    scores = [float(text.split(" ")[0]) for text in tab.texts("td strong")]
    assert scores == sorted(scores)
    tab.page.fill("[type=search]", "again finished")
    tab.page.wait_for_function("() => document.querySelectorAll('tbody th[scope=row] a').length === 2")
    tab.page.select_option("select", "group")
    assert len(tab.texts(".group-row")) == 1
    assert "2 runs" in tab.texts(".group-row")[0]
    assert "filter=again+finished" in tab.page.url, "the address keeps the view"
    tab.page.reload()
    tab.page.wait_for_selector(".group-row")
    assert len(names(tab)) == 2


def test_the_table_is_live(tab: Tab, runs: Path) -> None:
    name = f"zz-new-{tab.page.viewport_size['width']}"
    write_run(runs / name, errors=[5.0, 4.0], finished=False)
    tab.page.get_by_label("Filter").fill(name)  # the table draws no row that is far below
    row = tab.page.locator("tbody tr", has_text=name)
    row.locator("strong").wait_for()
    assert "4.00 %" in row.inner_text()
    assert "stopped" in row.inner_text()
    tab.page.get_by_label("Filter").fill("")


def test_curves_are_drawn_and_zoomed_by_mouse(tab: Tab) -> None:
    tab.page.click("text=again-1")
    count = wait_drawn(tab)
    assert tab.page.inner_text("h1") == "again-1"
    pixels = tab.page.evaluate(
        "(() => { const canvas = document.querySelector('canvas');"
        " const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;"
        " return new Set(new Uint32Array(data.buffer)).size })()"
    )
    assert pixels > 10, "something is drawn"
    box = tab.page.locator(".u-over").bounding_box()
    x, y = box["x"], box["y"] + box["height"] / 2
    tab.page.mouse.move(x + box["width"] * 0.4, y)
    assert re.search(r"epochs \d", tab.page.inner_text(".readout"))
    tab.page.mouse.down()
    tab.page.mouse.move(x + box["width"] * 0.9, y)
    tab.page.mouse.up()
    count = wait_drawn(tab, count)
    assert "low=1." in tab.page.url
    tab.page.click("text=Whole axis")
    wait_drawn(tab, count)
    assert "low=" not in tab.page.url


def test_curves_follow_a_run_that_grows(tab: Tab, runs: Path) -> None:
    tab.page.goto(tab.page.url.split("#")[0] + "#/curves?run=group/stopped")
    count = wait_drawn(tab)
    with (runs / "group" / "stopped" / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(metrics_row(2, 33.0)) + "\n")
    wait_drawn(tab, count)
    tab.page.click("text=The curves as a table")
    tab.page.wait_for_selector("details table")
    assert "33" in tab.page.inner_text("details table")


def test_everything_is_reached_by_keyboard(tab: Tab) -> None:
    page = tab.page
    tab.press_until("it.type === 'search'")
    page.keyboard.type("again")
    page.wait_for_function("() => document.querySelectorAll('tbody th[scope=row] a').length === 2")
    for _ in range(2):
        page.keyboard.press("Tab")
        tab.press_until("it.type === 'checkbox'")
        page.keyboard.press("Space")
    tab.press_until("it.matches('.chosen-bar a')")
    page.keyboard.press("Enter")
    count = wait_drawn(tab)
    tab.press_until("it.matches('.surface')")
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    first = page.inner_text(".readout")
    assert "epochs 2" in first
    page.keyboard.press("ArrowDown")
    assert page.inner_text(".readout") != first, "the next curve is read"
    page.keyboard.press("+")
    count = wait_drawn(tab, count)
    assert "low=" in page.url
    page.keyboard.press("0")
    wait_drawn(tab, count)
    tab.press_until("it.matches('.legend button')")
    page.keyboard.press("Space")
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "false"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_seeds_smoothing_and_axes_change_the_curves(tab: Tab) -> None:
    tab.page.goto(tab.page.url.split("#")[0] + "#/curves?run=again-1&run=again-2")
    count = wait_drawn(tab)
    for change in (
        lambda: tab.page.get_by_label("Seeds as mean and range").check(),
        lambda: tab.page.locator("label:has-text('Against') select").select_option("seconds"),
        lambda: tab.page.get_by_label("Logarithmic axis").check(),
        lambda: tab.page.locator("label:has-text('Smooth') input").press("End"),
    ):
        change()
        count = wait_drawn(tab, count)
    assert len(tab.texts(".legend button")) == 1
    assert "2 seeds" in tab.texts(".legend button")[0]
    assert re.search(r"\d training seconds", tab.page.inner_text(".controls"))
    tab.page.locator("label:has-text('Metric') select").select_option("train_loss,test_loss")
    wait_drawn(tab, count)


def test_notes_are_written_from_the_page(tab: Tab, runs: Path) -> None:
    tab.page.get_by_label("Choose again-1").check()
    tab.page.click("text=Tags and note")
    tab.page.get_by_label("Tags, with commas between").fill("best, <b>bold</b>")
    tab.page.locator("dialog textarea").fill("the one to keep")
    tab.page.click("dialog button.primary")
    tab.page.wait_for_selector(".tag")
    assert tab.texts(".tag") == ["best", "<b>bold</b>"]
    assert json.loads((runs / "lab-notes.json").read_text())["again-1"]["note"] == "the one to keep"


def png(colour: tuple[int, int, int]) -> bytes:
    """A PNG of one colour, 16 x 16."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    rows = (b"\0" + bytes(colour) * 16) * 16
    head = struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_an_image_is_tried_on_a_run(tab: Tab, tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(png((220, 50, 40)))
    tab.page.get_by_label("Choose colours").check()
    tab.page.click("text=Try an image")
    tab.page.get_by_label("Image", exact=True).set_input_files(str(tmp_path / "red.png"))
    tab.page.wait_for_selector(".classes li")
    assert tab.texts(".classes li")[0].startswith("red")
    (tmp_path / "broken.png").write_bytes(b"x")
    tab.page.get_by_label("Image", exact=True).set_input_files(str(tmp_path / "broken.png"))
    tab.page.wait_for_selector("dialog .problem")


def test_a_run_is_noted_tried_and_trained_again_by_keyboard(tab: Tab, runs: Path, tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(png((220, 50, 40)))
    press, note = tab.page.keyboard.press, f"typed at {tab.page.viewport_size['width']}"
    tab.page.on("filechooser", lambda chooser: chooser.set_files(str(tmp_path / "red.png")))
    tab.press_until("it.getAttribute('aria-label') === 'Choose colours'")
    press("Space")
    tab.press_until("it.textContent === 'Tags and note'")
    press("Enter")
    tab.press_until("it.matches('dialog textarea')")
    press("Control+A")
    tab.page.keyboard.type(note)
    tab.press_until("it.matches('dialog button.primary')")
    press("Enter")
    tab.page.wait_for_selector("dialog", state="detached")
    assert json.loads((runs / "lab-notes.json").read_text())["colours"]["note"] == note
    tab.press_until("it.textContent === 'Try an image'")
    press("Enter")
    tab.press_until("it.type === 'file'")
    press("Space")
    tab.page.wait_for_selector(".classes li")
    assert tab.texts(".classes li")[0].startswith("red")
    press("Escape")
    tab.press_until("it.textContent === 'Train again, next seed'")
    press("Enter")
    tab.page.wait_for_selector(".job")


def test_a_job_is_started_followed_and_stopped(tab: Tab) -> None:
    tab.page.get_by_label("Choose group/stopped").check()
    tab.page.click("text=Train again, next seed")
    tab.page.wait_for_selector(".job")
    assert re.search(r"seed \d", tab.page.inner_text(".job strong"))
    tab.page.wait_for_selector(".job.failed")  # its data came from Python: the command says so
    tab.page.click(".job summary")
    assert "residua train" in tab.page.inner_text(".job pre")
    assert "colours" in tab.page.inner_text(".job pre")


def test_papers_list_what_can_be_run(tab: Tab) -> None:
    tab.page.click("nav >> text=Papers")
    tab.page.wait_for_selector(".item")
    assert len(tab.texts(".papers section")) == 3
    assert tab.page.locator("button:has-text('Run this')").count() > 5


def test_a_response_that_an_event_overtook_does_not_undo_it(tab: Tab) -> None:
    held: list[Any] = []
    tab.page.route("**/stop", lambda route: held.append((route, route.fetch())))
    tab.page.click("nav >> text=Papers")
    tab.page.locator("button:has-text('Run this')").first.click()
    latest = tab.page.locator(".job").first
    latest.locator("button.stop").click()
    latest.locator(".badge", has_text="stopped").wait_for()
    (route, response), *_ = held
    assert response.json()["state"] in ("stopping", "stopped")
    with tab.page.expect_response("**/stop"):
        route.fulfill(response=response)
    tab.page.wait_for_timeout(100)
    assert tab.texts(".job .badge")[0] == "stopped"


def test_a_comparison_is_saved_as_one_file_that_needs_no_server(
    browser: Any, tab: Tab, tmp_path: Path
) -> None:
    tab.page.goto(tab.page.url.split("#")[0] + "#/curves?run=again-1&run=again-2")
    wait_drawn(tab)
    with tab.page.expect_download() as download:
        tab.page.click("text=Save as one HTML file")
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    page = Tab(browser, file.as_uri(), ready="svg", viewport={"width": 390, "height": 800})
    assert "again-2 has the best" in page.page.inner_text("main, body")
    page.check("the file on a phone")
    assert {url for url in page.requests if not url.startswith("data:")} == {file.as_uri()}
    page.close()


@pytest.mark.parametrize("look", LOOKS, ids=["wide", "phone, dark", "narrow, forced colours"])
def test_axe_finds_nothing_serious(browser: Any, lab: Server, look: dict[str, Any]) -> None:
    tab = Tab(browser, lab.address, **look)
    tab.page.wait_for_selector("td strong")
    tab.page.get_by_label("Choose again-1").check()
    tab.check("runs")
    tab.page.click("text=Tags and note")
    tab.check("notes")
    tab.page.keyboard.press("Escape")
    tab.page.goto(lab.address + "/#/curves?run=again-1&run=again-2&run=colours&smooth=0.1")
    wait_drawn(tab)
    tab.page.click("text=The curves as a table")
    tab.page.wait_for_selector("details table")
    tab.check("curves")
    tab.page.click("nav >> text=Papers")
    tab.page.wait_for_selector(".item")
    tab.check("papers")
    if look.get("reduced_motion"):
        assert tab.page.evaluate("document.getAnimations().length") == 0
    tab.close()


def test_the_page_is_light_and_written_without_inline_code() -> None:
    files = page_files(PAGE)
    document = files["index.html"].content.decode()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", document)
    own = "".join(path.read_text("utf-8") for path in PAGE.iterdir() if path.name != "uplot.js")
    assert not re.search(r"https?://(?!www\.w3\.org)", own)
    assert "innerHTML" not in own


def loaded_for(script: str) -> set[str]:
    """Files that the browser loads for the view of a script: the document, what it names, and all imports."""
    document = (PAGE / "index.html").read_text("utf-8")
    names, scripts = {"index.html", *re.findall(r'"assets/([^"]+)"', document)}, ["lab.js", script]
    while scripts:
        names.add(name := scripts.pop())
        imported = re.findall(r"from '\./([^']+)'", (PAGE / name).read_text("utf-8"))
        scripts += [each for each in imported if each not in names]
    return names


def test_page_is_light() -> None:
    sizes = {path.name: path.stat().st_size for folder in (FOLDER, PAGE) for path in folder.iterdir()}
    views = re.findall(r"file: '\./([^']+)'", (PAGE / "lab.js").read_text("utf-8"))
    loads = {view: loaded_for(view) for view in views}
    for view, names in loads.items():
        assert {"uplot.js", "base.css", "elements.js", view} <= names
        assert sum(sizes[name] for name in names) < 115 * KB, view
    assert {path.name for path in PAGE.iterdir()} == set().union(*loads.values()) - {*SHARED}
    files = page_files(FOLDER) | page_files(PAGE)
    sent = sum(len(files[name].compressed) for name in set().union(*loads.values()))
    assert sent < 75 * KB, "all views together, as a browser downloads them"


def test_uplot_is_the_published_file() -> None:
    assert hashlib.sha256((PAGE / "uplot.js").read_bytes()).hexdigest() == UPLOT
    assert "MIT" in (PAGE.parent / "uplot-licence.txt").read_text()
