"""A page with every kind of part as a browser shows it, in Debian's chromium, at a desk and on a phone.

Every kind of page that a command writes is looked at where a test makes one.
"""

import pathlib
import shutil
from collections.abc import Iterator

import pytest
import report_sample
from report_sample import full_page

from eyes import Eyes
from residua.report import page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_and_is_silent(
    browser: playwright.Browser, tmp_path: pathlib.Path, width: int, scheme: str
) -> None:
    file = tmp_path / "report.html"
    file.write_text(page.render(full_page()), "utf-8")
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    messages: list[str] = []
    requests: list[str] = []
    tab.on("console", lambda message: messages.append(message.text))
    tab.on("pageerror", lambda error: messages.append(str(error)))
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(file.as_uri())
    assert messages == []
    assert [url for url in requests if not url.startswith("data:")] == [file.as_uri()]
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert tab.locator("svg.slim").first.is_visible() == (width < 640)
    assert tab.locator("svg.broad").first.is_visible() == (width >= 640)
    paper = tab.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 22, 22)"}[scheme]
    tab.close()


@pytest.mark.parametrize(
    "injected",
    [
        "<script>document.title = 'ran'</script>",
        "<img src='data:,' alt='x' onerror=\"document.title = 'ran'\">",
        "<svg><script>document.title = 'ran'</script></svg>",
        "<iframe srcdoc=\"<script>parent.document.title = 'ran'</script>\"></iframe>",
        "<script src=\"data:text/javascript,document.title = 'ran'\"></script>",
    ],
)
def test_an_injected_script_runs_only_without_the_policy(
    browser: playwright.Browser, tmp_path: pathlib.Path, injected: str
) -> None:
    figure = page.Figure(injected, "", "a drawing that was trusted")
    document = page.render(page.Page("safe", "", (page.Section("s", (figure,)),), ""))
    titles = []
    for text in (document, document.replace("http-equiv", "http-eqiv")):
        (tmp_path / "page.html").write_text(text, "utf-8")
        tab = browser.new_page()
        tab.goto((tmp_path / "page.html").as_uri(), wait_until="load")
        titles.append(tab.title())
        tab.close()
    assert titles == ["safe", "ran"]


def test_every_kind_of_part_can_be_read(
    look: Eyes, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_sample, "HOSTILE", "cifar_preresnet110")
    (tmp_path / "page.html").write_text(page.render(full_page()), "utf-8")
    look(tmp_path / "page.html")


@pytest.mark.usefixtures("browser")  # without one these pages fail for another reason
@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("<div style='width: 3000px'>wide</div>", "pixels across 390"),
        ("<img src='data:,'>", "picture without words"),
        ("<svg><text x='10' y='20'>words</text></svg>", "drawing without words"),
        ("<svg role='img' aria-label='x'><text x='-15' y='9'>words</text></svg>", "cut off: words"),
        ("<svg role='img' aria-label='x'><text y='9' font-size='4'>words</text></svg>", "type of 4.0"),
        ("<script>console.log('hello')</script>", "hello"),
        ("<img alt='x' src='http://localhost:1/x.png'>", "asks for http://localhost:1/x.png"),
    ],
)  # fmt: skip
def test_eyes_see_what_is_wrong(look: Eyes, tmp_path: pathlib.Path, body: str, wrong: str) -> None:
    file = tmp_path / "page.html"
    file.write_text(f"<!doctype html><meta charset=utf-8><title>t</title>{body}")
    with pytest.raises(AssertionError, match=wrong):
        look(file)
