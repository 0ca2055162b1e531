"""Pictures of the lab for its how-to page, taken in Chromium: lab_pictures.py RUNS docs/how-to/lab."""

import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import sync_playwright

SIZE = {"width": 1280, "height": 800}


def main(runs: str, out: Path) -> None:
    """Start a lab over `runs`, and write one picture of each view."""
    out.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "residua", "lab", runs, "--port", "0", "--read-only"]
    lab = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)  # noqa: S603 (our own command)
    assert lab.stdout
    address = next(line for line in lab.stdout if line.startswith("lab ")).split()[-1]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.goto(f"{address}/#/runs?sort=best&down=0")
        page.wait_for_selector("td strong")
        chosen = quote(",".join(page.locator("tbody th[scope=row] a").all_inner_texts()[:6]))
        views = {"runs": "?sort=best&down=0", "curves": f"?runs={chosen}", "papers": "", "words": ""}
        for name, search in views.items():
            page.goto(f"{address}/#/{name}{search}")
            page.wait_for_selector({"runs": "td strong", "curves": "[data-drawn]"}.get(name, f".{name} h1"))
            page.wait_for_timeout(4000)
            page.screenshot(path=out / f"{name}.png")
        browser.close()
    lab.terminate()
    lab.wait()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
