"""A browser that looks at pages: as a script, in a process of its own that stays open; as a fixture, `look`.

A file's name on a line of standard input is answered by a line of JSON: what was wrong with it.
"""

import html.parser
import importlib.util
import json
import pathlib
import re
import shutil
import subprocess
import sys
from typing import Any

WIDTHS = (1280, 390)
"""Pixels of a desk and of a phone."""
LEAST = 8.5
"""Pixels of the smallest type in a drawing that a phone can show."""
SCRIPT = """([least]) => {
  const wrong = [], root = document.documentElement, isPage = root.tagName === 'HTML'
  if (isPage && root.scrollWidth > innerWidth) wrong.push(`${root.scrollWidth} pixels across ${innerWidth}`)
  for (const image of document.querySelectorAll('img')) if (!image.alt) wrong.push('a picture without words')
  for (const image of document.images) if (!image.naturalWidth) wrong.push('a picture that cannot be shown')
  if (isPage) for (const svg of document.querySelectorAll('svg'))
    if (!svg.closest('[role=img]')?.getAttribute('aria-label')) wrong.push('a drawing without words')
  for (const text of document.querySelectorAll('svg text')) {
    let whole = text.ownerSVGElement
    while (whole.ownerSVGElement) whole = whole.ownerSVGElement
    const edges = text.getBoundingClientRect(), room = whole.getBoundingClientRect()
    if (!edges.width) continue
    const scale = text.getScreenCTM()
    const size = Math.hypot(scale.a, scale.b) * parseFloat(getComputedStyle(text).fontSize)
    if (isPage && size < least) wrong.push(`type of ${size.toFixed(1)} pixels: ${text.textContent}`)
    if (edges.left < room.left - 2 || edges.right > room.right + 2) wrong.push(`cut off: ${text.textContent}`)
  }
  return [...new Set(wrong)]
}"""


def problems(browser: Any, file: pathlib.Path, width: int) -> list[str]:
    """What is wrong with the page or drawing `file` at this width."""
    wrong: list[str] = []
    requests: list[str] = []
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(0)  # a machine may stand still; the test has a limit of its own
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    wrong += [f"asks for {url}" for url in requests if not url.startswith("data:") and url != file.as_uri()]
    wrong += [f"{problem}, at {width}" for problem in page.evaluate(SCRIPT, [LEAST])]
    page.close()
    return wrong


def main() -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        program = shutil.which("chromium")
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for line in sys.stdin:
            file = pathlib.Path(line.strip())
            print(
                json.dumps([problem for width in WIDTHS for problem in problems(browser, file, width)]),
                flush=True,
            )
        browser.close()


POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""The Content-Security-Policy of every page: no script, no request, no form."""


class _Policies(html.parser.HTMLParser):
    """Collects the policies that a browser obeys: those of `meta` in the head."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.policies: list[str | None] = []
        self.is_in_head = False
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fields = dict(attrs)
        self.is_in_head = (self.is_in_head or tag == "head") and tag != "body"
        if tag == "meta" and (fields.get("http-equiv") or "").lower() == "content-security-policy":
            self.policies.append(fields.get("content") if self.is_in_head else None)


def policy_problems(document: str) -> list[str]:
    """What is wrong with the Content-Security-Policy of a page."""
    policies = _Policies(document).policies
    return [] if policies == [POLICY] else [f"content security policies {policies}"]


def heads_without_text(document: str) -> list[str]:
    """The content of every head of a column that names nothing: a screen reader reads it with each cell."""
    heads = re.findall(r"<th(?:\s[^>]*)?>(.*?)</th>", document, re.DOTALL)
    return [text for text in (re.sub(r"<[^>]*>", "", head).strip() for head in heads) if not text]


def page_problems(document: str) -> list[str]:
    """What is wrong with the text of a page: its policy, empty heads, links without a target, cut labels."""
    links = re.findall(r'href="#([^"]*)"', document)
    cut = re.findall(r"<text[^>]*>([^<]*…[^<]*)<", document)
    return [
        *policy_problems(document),
        *("a column without a name" for _ in heads_without_text(document)),
        *(f"a link to #{name}, which is not there" for name in links if f'id="{name}"' not in document),
        *(f"a label cut off: {label}" for label in cut),
    ]


def _is_page(file: pathlib.Path) -> bool:
    return file.suffix == ".html"


class Eyes:
    """The process, begun when the first page is looked at."""

    process: "subprocess.Popen[str] | None" = None

    def __call__(self, *files: pathlib.Path) -> None:
        """All is well with each of `files`; the test is skipped where no browser is, after their policies."""
        import pytest

        policies = {file.name: page_problems(file.read_text("utf-8")) for file in files if _is_page(file)}
        if importlib.util.find_spec("playwright") is None or shutil.which("chromium") is None:
            assert not any(policies.values()), policies
        pytest.importorskip("playwright", reason="playwright is not installed")
        if shutil.which("chromium") is None:
            pytest.skip("chromium is not installed: apt-get install chromium")
        if self.process is None or self.process.poll() is not None:
            words = [sys.executable, __file__]
            self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdin
        assert self.process.stdout
        for file in files:
            assert file.is_file()
            print(file.resolve(), file=self.process.stdin, flush=True)
            wrong = json.loads(self.process.stdout.readline())
            wrong += policies.get(file.name, [])
            assert not wrong, f"{file}: {'; '.join(wrong)}"

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.communicate()


if __name__ == "__main__":
    main()
