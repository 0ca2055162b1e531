"""The site of the manual: built in both languages without a warning, and opened in a browser."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sphinx.util.inventory import InventoryFile

import residua

pytestmark = [pytest.mark.battery, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
PAGES = (
    "index.html",
    "start/index.html",
    "start/my-photos.html",
    "how-to/fine-tuning.html",
    "how-to/serving.html",
    "reference/commands.html",
    "reference/python/predictions.html",
    "explanation/degradation.html",
    "explanation/he2015.html",
    "explanation/reproductions.html",
    "ko/index.html",
    "ko/explanation/he2016.html",
)
LOOKS = ((1280, "light"), (1280, "dark"), (390, "light"), (390, "dark"))
"""Width in pixels, and the colours that the reader prefers."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site in English, with the Korean one in `ko`, from a build in which a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    sphinx = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-b", "html"]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    for language, out in (("en", folder / "html"), ("ko", folder / "html/ko")):
        words = [*sphinx, "-d", folder / language, "-D", f"language={language}", ROOT / "docs", out]
        done = subprocess.run(words, capture_output=True, text=True, env=env)
        assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not (importlib.util.find_spec("playwright") and shutil.which("chromium")):
        pytest.skip("needs playwright and chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        program = shutil.which("chromium")
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def test_every_public_name_is_in_the_index_of_the_site(site: Path) -> None:
    with (site / "objects.inv").open("rb") as file:
        names = set(InventoryFile.load(file, "", lambda base, path: path)["py:function"])
        file.seek(0)
        names |= set(InventoryFile.load(file, "", lambda base, path: path)["py:class"])
    assert [name for name in residua.__all__ if name[0] != "_" and f"residua.{name}" not in names] == []


def test_every_page_links_to_itself_in_the_other_language(site: Path) -> None:
    english = {
        page.relative_to(site) for page in site.rglob("*.html") if page.relative_to(site).parts[0] != "ko"
    }
    korean = {page.relative_to(site / "ko") for page in (site / "ko").rglob("*.html")}
    assert english == korean
    for page in english:
        up = "../" * (len(page.parts) - 1)
        assert f'href="{up}ko/{page.as_posix()}"' in (site / page).read_text("utf-8")
        assert f'href="{up}../{page.as_posix()}"' in (site / "ko" / page).read_text("utf-8")


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_pages_ask_no_other_server_fit_and_are_accessible(
    site: Path, browser: Any, width: int, scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    for name in PAGES:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        requests: list[str] = []
        page.on("request", lambda request, requests=requests: requests.append(request.url))
        page.goto((site / name).as_uri())
        assert [url for url in requests if not url.startswith(("file:", "data:"))] == [], name
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        violations = axe.run(page).response["violations"]
        serious = [one for one in violations if one["impact"] in ("serious", "critical")]
        assert not serious, (name, [(one["id"], one["nodes"][0]["html"][:200]) for one in serious])
        page.close()


def test_the_search_finds_a_word_without_a_server(site: Path, browser: Any) -> None:
    page = browser.new_page()
    page.goto((site / "search.html").as_uri() + "?q=bottleneck")
    page.wait_for_selector("#search-results li")
    assert "he2015" in page.inner_html("#search-results")


@pytest.mark.parametrize(
    ("word", "found"), [("학습률", "he2016"), ("병목", "he2015"), ("ResNet에서", "duta2020")]
)
def test_the_search_finds_a_korean_word_with_any_particle(
    word: str, found: str, site: Path, browser: Any
) -> None:
    page = browser.new_page()
    page.goto((site / "ko/search.html").as_uri() + "?q=" + word)
    page.wait_for_selector("#search-results li")
    assert found in page.inner_html("#search-results")
    page.close()
