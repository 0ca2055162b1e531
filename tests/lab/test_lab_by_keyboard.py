"""The journeys of the lab by keyboard alone, in a wide and in a narrow window: no test here uses a mouse."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab_views import ViewFolder

from chromium import Tab, chromium
from residua.curate.actions import read_actions


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(params=(1280, 320))
def tab(request: pytest.FixtureRequest, browser: Any, views: ViewFolder) -> Iterator[Tab]:
    tab = Tab(browser, views.address, viewport={"width": request.param, "height": 800})
    tab.page.wait_for_selector("tbody tr")
    yield tab
    tab.close()


def press(tab: Tab, text: str, key: str = "Enter") -> None:
    """Go to the link or button that begins with a text, and press a key on it."""
    tab.press_until(f"it.matches('a, button') && it.textContent.startsWith({text!r})")
    tab.page.keyboard.press(key)


def choose(tab: Tab, *names: str) -> None:
    """Choose runs in the table, from the top to the bottom."""
    for name in names:
        tab.press_until(f"it.getAttribute('aria-label') === 'Choose {name}'")
        tab.page.keyboard.press("Space")


def test_the_table_is_sorted_filtered_and_grouped(tab: Tab) -> None:
    press(tab, "Best")
    scores = [float(text.split(" ")[0]) for text in tab.texts("td strong")]
    assert len(scores) == 3
    assert scores == sorted(scores)
    assert tab.page.evaluate("document.activeElement.textContent").startswith("Best"), "the focus stays"
    tab.press_until("it.type === 'search'", "Shift+Tab")
    tab.page.keyboard.type("good")
    tab.page.wait_for_function("() => document.querySelectorAll('tbody th[scope=row] a').length === 1")
    tab.press_until("it.matches('select')")
    tab.page.keyboard.type("network")
    tab.page.wait_for_selector(".group-row")
    press(tab, "Choose all")
    assert tab.texts(".chosen-bar strong") == ["good"]
    press(tab, "Choose none")
    assert tab.page.evaluate("document.activeElement.type") == "search", "the focus is not lost"


def test_two_runs_are_compared(tab: Tab) -> None:
    choose(tab, *sorted(("good", "poor"), key=[*tab.texts("tbody th[scope=row] a")].index))
    press(tab, "Compare")
    tab.page.wait_for_selector(".conclusion")
    assert tab.page.evaluate("document.activeElement.id") == "view", "reading goes on in the view"
    tab.press_until("it.matches('select')")  # the first run
    tab.press_until("it.matches('select') && it.parentElement.textContent.startsWith('Second')")
    tab.page.keyboard.type("reordered")
    press(tab, "Compare", "Space")
    tab.page.wait_for_selector("mark", state="attached")
    assert "run=reordered" in tab.page.url
    tab.press_until("it.matches('.frame, [tabindex]') && it.getAttribute('aria-label') === 'Drawing'")


def test_curves_are_saved_as_one_file(tab: Tab, tmp_path: Path) -> None:
    choose(tab, *sorted(("good", "poor"), key=[*tab.texts("tbody th[scope=row] a")].index))
    press(tab, "Curves")
    tab.page.wait_for_selector(".plot")
    with tab.page.expect_download() as download:
        press(tab, "Save as one HTML file")
    download.value.save_as(tmp_path / "curves.html")
    assert "good" in (tmp_path / "curves.html").read_text()


def test_a_network_is_looked_into(tab: Tab) -> None:
    choose(tab, "poor")
    press(tab, "Look inside")
    tab.page.wait_for_selector(".panel .score strong")
    tab.press_until("it.id === 'lesion'")
    tab.page.keyboard.press("End")
    tab.page.wait_for_selector(".score:has-text('with all blocks')")
    tab.press_until("it.matches('.unit')")
    tab.page.keyboard.press("Space")
    assert tab.page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "false"
    tab.page.wait_for_selector(".confusion button")
    tab.press_until("it.matches('.confusion button')")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_selector("section[aria-label^=What] .card img")
    press(tab, "Activations on the main path")
    tab.page.wait_for_selector("text=Open “Activations on the main path”")
    press(tab, "Open “Activations on the main path”", key="Shift")  # reached: opening is the browser's


def test_decisions_are_written_into_the_table_of_a_clean(tab: Tab, views: ViewFolder) -> None:
    press(tab, "Data")
    tab.page.wait_for_selector(".sheet img")
    path = tab.page.get_attribute(".sheet img", "alt")
    before = read_actions(views.folder / "clean-photos" / "clean.csv")
    action = {"keep": "drop", "drop": "keep"}[before[path][1]]
    tab.press_until(f"it.getAttribute('aria-label') === 'Action for {path}'")
    tab.page.keyboard.type(action)
    tab.press_until("it.textContent === 'Write 1 into clean.csv'", "Shift+Tab")
    tab.page.keyboard.press("Enter")
    counts = "keep 35, relabel 0, drop 1" if action == "drop" else "keep 36, relabel 0, drop 0"
    tab.page.wait_for_selector(f"text=/{counts}$/")
    after = read_actions(views.folder / "clean-photos" / "clean.csv")
    assert after == before | {path: (before[path][0], action)}


def test_a_reproduction_is_started_and_stopped(tab: Tab) -> None:
    press(tab, "Papers")
    tab.page.wait_for_selector(".item")
    started = tab.page.locator(".job", has_text="reproduce").count()
    press(tab, "Run this")
    tab.page.wait_for_function(f"() => document.querySelectorAll('.job').length > {started}")
    tab.press_until("it.matches('button.stop')")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_function("() => !document.querySelector('.job .stop')")
    assert tab.texts(".job .badge")[0] == "stopped"


def test_a_word_is_typed_and_trained(tab: Tab) -> None:
    press(tab, "Words")
    tab.page.wait_for_selector(".workbench img")
    tab.press_until("it.id === 'word'")
    tab.page.keyboard.press("Control+A")
    tab.page.keyboard.type("(NAC NAC)")
    tab.page.wait_for_selector(".word-state.right:has-text('order=e')")
    press(tab, "Train on digits")
    tab.page.wait_for_selector(".job")
    tab.press_until("it.matches('button.stop')")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_function("() => !document.querySelector('.job .stop')")


@pytest.mark.battery  # it trains
def test_a_run_is_stopped_and_resumed(tab: Tab) -> None:
    tab.page.goto(tab.page.url.split("#")[0] + "#/words?text=cifar_resnet110")
    tab.page.wait_for_selector(".word-state.right")
    press(tab, "Train on digits")
    row = tab.page.locator("tbody tr", has_text="cifar_resnet110").first
    press(tab, "Runs")
    row.locator(".dot.running").wait_for()
    name = row.locator("th a").inner_text()
    choose(tab, name)
    press(tab, "Stop")
    row.locator(".dot.stopped").wait_for()
    press(tab, "Resume")
    row.locator(".dot.running").wait_for()
    press(tab, "Stop")
    row.locator(".dot.stopped").wait_for()
    assert tab.page.evaluate("document.activeElement.dataset.focus") == "curves", "the focus stays in the bar"
