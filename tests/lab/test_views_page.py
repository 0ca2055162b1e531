"""The views of networks, runs and data in Chromium: by mouse, by keyboard and on a phone."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab_views import ViewFolder

from chromium import Tab, chromium
from residua.curate.actions import read_actions
from residua.jobs.compare import compare
from residua.jobs.comparison_page import conclusions
from server_process import serving

VIEWS = {
    "words": ".workbench img",
    "inside?run=good&beside=poor": ".panel .score strong",
    "compare?run=good&run=reordered": ".conclusion",
    "data": ".sheet img",
}
"""Address of each view, and what is there once it is complete."""
SCORES = "[...document.querySelectorAll('.score')]"
WIDTHS = (1280, 320)
"""Pixels of the windows in which each journey is made."""
LOOKS: tuple[dict[str, Any], ...] = (
    {"viewport": {"width": 1280, "height": 900}},
    {"viewport": {"width": 390, "height": 800}, "color_scheme": "dark", "reduced_motion": "reduce"},
    {"viewport": {"width": 320, "height": 640}, "forced_colors": "active"},
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(params=WIDTHS)
def tab(request: pytest.FixtureRequest, browser: Any, views: ViewFolder) -> Iterator[Tab]:
    tab = Tab(browser, views.address, viewport={"width": request.param, "height": 800})
    yield tab
    assert not [url for url in tab.requests if not url.startswith((views.address, "blob:"))]
    tab.close()


def visit(tab: Tab, views: ViewFolder, view: str) -> Any:
    """Open a view, and wait until it is complete."""
    tab.page.goto(f"{views.address}/#/{view}")
    tab.page.wait_for_selector(VIEWS.get(view, "h1"))
    return tab.page


def until(page: Any, condition: str) -> None:
    """Wait until JavaScript is true; the page forbids what `wait_for_function` does."""
    limit = time.monotonic() + 60
    while not page.evaluate(condition):
        assert time.monotonic() < limit, condition
        page.wait_for_timeout(30)


def are_loaded(page: Any, selector: str) -> bool:
    """Whether all such images have pixels, also those that are loaded once they come into sight."""
    page.evaluate(
        f"document.querySelectorAll('{selector}').forEach((image) => {{ image.loading = 'eager' }})"
    )
    until(page, f"[...document.querySelectorAll('{selector}')].every((image) => image.complete)")
    return bool(
        page.evaluate(
            f"[...document.querySelectorAll('{selector}')].every((image) => image.naturalWidth > 0)"
        )
    )


def test_a_word_is_checked_counted_and_drawn_as_it_is_typed(tab: Tab, views: ViewFolder) -> None:
    page = visit(tab, views, "words")
    assert are_loaded(page, ".drawing img")
    assert "269,722" in page.inner_text(".facts")
    page.fill("#word", "")
    page.keyboard.type("(NAC NXC)")
    until(page, "document.querySelector('.word-state.wrong')?.textContent.startsWith('At letter 7')")
    assert page.text_content(".caret") == "(NAC NXC)\n      ▲"
    assert page.get_attribute("#word", "aria-invalid") == "true"
    for key in ("ArrowLeft", "ArrowLeft", "Backspace", "KeyA"):
        page.keyboard.press(key if key != "KeyA" else "A")
    page.wait_for_selector(".word-state.right")
    assert page.inner_text(".word-state").startswith("cifar_resnet20:order=e")
    assert len(tab.texts(".skipped .letter")) == 6
    page.get_by_label("Layers", exact=True).fill("110")
    page.wait_for_selector("td:has-text('6.37')")
    page.get_by_label("Layers", exact=True).fill("111")
    page.click(".word-state button:has-text('116')")
    page.wait_for_selector(".word-state.right")
    assert "116" in page.inner_text(".facts")
    page.click("button:has-text('ResStage') >> nth=0")
    until(page, "document.querySelector('.word-state').textContent.startsWith('resstage')")
    page.reload()
    page.wait_for_selector(".workbench img")
    assert page.input_value("#word") == "resstage", "the address keeps what was typed"


def test_lessons_fill_in_networks(tab: Tab, views: ViewFolder) -> None:
    page = visit(tab, views, "words")
    lesson = page.locator(".lessons details", has_text="Deeper gets worse")
    lesson.locator("summary").focus()
    page.keyboard.press("Enter")
    lesson.locator("button", has_text="56").press("Enter")
    until(page, "document.querySelector('.word-state').textContent.startsWith('cifar_plain56')")


@pytest.mark.battery
def test_a_word_is_trained_with_one_click(tab: Tab, views: ViewFolder) -> None:
    page = visit(tab, views, "words")
    page.get_by_label("Layers", exact=True).fill("8")
    until(page, "document.querySelector('.word-state').textContent.includes('8')")
    page.click("text=Train on digits")
    page.wait_for_selector(".trained td:has-text('%') >> nth=1")
    errors = [float(text.split(" ")[0]) for text in tab.texts(".trained td")]
    assert all(0 <= error < 60 for error in errors)
    assert "8 layers" in page.inner_text(".trained")


def test_blocks_are_removed_with_a_slider_and_one_by_one(tab: Tab, views: ViewFolder) -> None:
    page = visit(tab, views, "inside?run=good&beside=poor")
    assert are_loaded(page, ".panel img")
    whole = tab.texts(".score strong")
    slider = page.locator("#lesion")
    slider.focus()
    page.keyboard.press("End")
    until(
        page,
        f"{SCORES}.every((one) => one.textContent.includes('with all blocks'))",
    )
    assert page.locator(".unit[aria-pressed=true]").count() == 4
    assert tab.texts(".score strong") != whole
    assert "2 blocks" in (slider.get_attribute("aria-valuetext") or "")
    page.keyboard.press("Home")
    until(page, "document.querySelectorAll('.unit[aria-pressed=true]').length === 0")
    until(
        page,
        f"!{SCORES}.some((one) => one.textContent.includes('with all blocks'))",
    )
    assert tab.texts(".score strong") == whole
    page.locator(".unit").first.press("Space")
    assert page.locator(".unit[aria-pressed=true]").count() == 1
    page.click("text=Draw the whole line")
    until(page, "document.querySelectorAll('.line-plot circle').length === 6")


def test_mistakes_and_studies_of_a_network_are_shown(tab: Tab, views: ViewFolder) -> None:
    page = visit(tab, views, "inside?run=poor")
    page.wait_for_selector(".confusion button")
    page.locator(".confusion button").first.press("Enter")
    assert are_loaded(page, "section[aria-label^=What] .card img")
    count = int(page.locator(".confusion button").first.inner_text())
    assert page.locator("section[aria-label^=What] .card").count() == count
    page.click("text=Activations on the main path")
    page.wait_for_selector("text=Open “Activations on the main path”")


def test_runs_that_are_chosen_are_compared(tab: Tab, views: ViewFolder) -> None:
    page = tab.page
    page.get_by_label("Choose good").check()
    page.get_by_label("Choose poor").check()
    page.click(".chosen-bar >> text=Compare")
    page.wait_for_selector(".conclusion")
    assert "poor" in page.inner_text(".conclusion")
    assert "optim.lr" in tab.texts("code")
    assert page.locator(".card").count() > 0
    assert are_loaded(page, ".card img")
    assert page.locator(".confusion").count() == 2
    page = visit(tab, views, "compare?run=good&run=reordered")
    until(page, "document.querySelectorAll('mark').length > 0")
    assert are_loaded(page, ".drawing img")


def test_best_of_40_runs_is_found_and_explained_in_five_clicks(
    browser: Any, views: ViewFolder, tmp_path: Path
) -> None:
    for name in ("good", "poor"):
        shutil.copytree(views.folder / name, tmp_path / "runs" / f"real-{name}")
    for number in range(38):
        path = shutil.copytree(tmp_path / "runs" / "real-poor", tmp_path / "runs" / f"run-{number:02}")
        rows = [json.loads(line) | {"test_error": 99.0} for line in (path / "metrics.jsonl").open()]
        (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    env = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    with serving(tmp_path / "runs", command="lab", env=env) as server:
        page = Tab(browser, server.address).page
        until(page, "document.querySelectorAll('td strong').length === 40")
        page.evaluate("window.clicks = 0; addEventListener('click', () => { window.clicks += 1 }, true)")
        page.click("th button:has-text('Best test error')")
        page.click("tbody tr:nth-child(1) input")
        page.click("tbody tr:nth-child(2) input")
        page.click(".chosen-bar a:has-text('Compare')")
        page.wait_for_selector(".conclusion")
        assert page.evaluate("window.clicks") <= 5
        (conclusion,) = compare([tmp_path / "runs" / f"real-{name}" for name in ("good", "poor")])
        assert page.inner_text(".conclusion") == conclusions([conclusion])
        assert {"optim.lr", "budget.epochs"} <= {*page.locator("code").all_inner_texts()}
        assert "`" not in page.inner_text("main")
        page.close()


def test_decisions_go_back_to_the_table_of_a_clean(tab: Tab, views: ViewFolder) -> None:
    page = visit(tab, views, "data")
    assert are_loaded(page, ".sheet img")
    path = page.get_attribute(".sheet img", "alt")
    before = read_actions(views.folder / "clean-photos" / "clean.csv")
    action = {"keep": "drop", "drop": "keep"}[before[path][1]]
    page.get_by_label(f"Action for {path}").select_option(action)
    page.click("text=Write 1 into clean.csv")
    counts = "keep 35, relabel 0, drop 1" if action == "drop" else "keep 36, relabel 0, drop 0"
    page.wait_for_selector(f"text=/{counts}$/")
    after = read_actions(views.folder / "clean-photos" / "clean.csv")
    assert after == before | {path: (before[path][0], action)}


@pytest.mark.parametrize("look", LOOKS, ids=["wide", "phone, dark", "narrow, forced colours"])
def test_axe_finds_nothing_serious(browser: Any, views: ViewFolder, look: dict[str, Any]) -> None:
    tab = Tab(browser, views.address, **look)
    for view, end in VIEWS.items():
        tab.page.goto(f"{views.address}/#/{view}")
        tab.page.wait_for_selector(end)
        tab.check(view)
    tab.page.goto(f"{views.address}/#/words?text=(NAC NXC)")
    tab.page.wait_for_selector(".word-state.wrong")
    tab.check("a mistake")
    tab.close()
