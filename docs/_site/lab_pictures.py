"""Pictures of the views of the lab for its how-to page, taken in Chromium: lab_pictures.py RUNS OUT.

RUNS holds runs, weights of CIFAR networks with CIFAR-10 beside them, and a table of `residua data clean`.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Page, ViewportSize, sync_playwright

LOADED = "[...document.images].every((image) => image.complete || image.y > innerHeight)"
"""JavaScript: whether all pictures in sight are there; others are loaded once they come into it."""
SIZE = ViewportSize(width=1280, height=800)


def run(name: str) -> str:
    """A run in an address."""
    return f"run={quote(name)}"


def views(page: Page) -> dict[str, tuple[str, str]]:
    """The address of each view, and what is there once it is complete."""
    names = page.locator("tbody th[scope=row] a").all_inner_texts()
    best, worst = names[0], names[-1]
    return {
        "runs": ("runs?sort=best&down=0", "td strong"),
        "curves": (f"curves?{'&'.join(map(run, names))}&group=1", "[data-drawn]"),
        "compare": (f"compare?{run(worst)}&{run(best)}", ".conclusion"),
        "inside": (
            "inside?run=a-martyn/plainnet56.pt&beside=a-martyn/resnet56.pt&order=last",
            ".score strong",
        ),
        "words": ("words?text=(NAC NAC)&depth=110", ".workbench img"),
        "data": ("data", ".sheet img"),
        "papers": ("papers", ".item"),
    }


def main(runs: str, out: Path) -> None:
    """Start a lab over `runs`, and write one picture of each view, and of the file that it exports."""
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "residua", "lab", runs, "--port", "0"]
    lab = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 (our own command)
    assert lab.stdout
    address = next(line for line in lab.stdout if line.startswith("lab ")).split()[-1]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(300_000)
        page.goto(f"{address}/#/runs?sort=best&down=0")
        page.wait_for_selector("td strong")
        for name, (search, end) in views(page).items():
            page.goto(f"{address}/#/{search}")
            page.wait_for_selector(end)
            if name == "inside":
                page.click("text=Draw the whole line")
                page.wait_for_selector("button:enabled:has-text('Draw the whole line')")
                page.fill("#lesion", "4")
            page.wait_for_function(f"() => {LOADED}")
            page.wait_for_timeout(500)
            page.screenshot(path=out / f"{name}.png")
        page.goto(f"{address}/#/curves")
        with page.expect_download() as download:
            page.click("a[href*=export]:has-text('Save as one HTML file')")
        file = out / "runs.html"
        download.value.save_as(file)
        page.goto(file.resolve().as_uri())
        page.screenshot(path=out / "export.png")
        file.unlink()
        browser.close()
    lab.terminate()
    lab.wait()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
