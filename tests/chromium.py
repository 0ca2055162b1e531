"""Chromium for tests: a tab, what went wrong in it, and what it asked for."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def chromium(*words: str) -> Iterator[Any]:
    """Chromium with further options; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    options = ["--no-sandbox", "--disable-gpu", *words]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=options)
        yield browser
        browser.close()


class Tab:
    """A page in a tab, and what went wrong in it."""

    def __init__(self, browser: Any, address: str, *, ready: str = ".state.ready", **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.wrong: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self._note(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)
        self.page.wait_for_selector(ready)

    def _note(self, text: str) -> None:
        if "responded with a status of" not in text:  # the browser's own line for each refusal
            self.wrong.append(text)

    def texts(self, selector: str) -> list[str]:
        """The text of every such element."""
        return [text.strip() for text in self.page.locator(selector).all_inner_texts()]

    def press_until(self, condition: str, key: str = "Tab", most: int = 90) -> None:
        """Press a key until JavaScript is true of the focused element `it`."""
        for _ in range(most):
            if self.page.evaluate(f"((it) => {condition})(document.activeElement)"):
                return
            self.page.keyboard.press(key)
        raise AssertionError(condition)

    def check(self, what: str) -> None:
        """Let axe find nothing serious, and nothing reach beyond the width of the window."""
        axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
        violations = axe.run(self.page).response["violations"]
        serious = [one for one in violations if one["impact"] in ("serious", "critical")]
        assert not serious, (what, [(one["id"], one["nodes"][0]["html"]) for one in serious])
        assert self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), what

    def close(self) -> None:
        """Close the tab; nothing may have gone wrong in it."""
        self.context.close()
        assert not self.wrong, self.wrong
