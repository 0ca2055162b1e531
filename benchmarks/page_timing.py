"""What benchmarks of pages share: servers in process groups, a tab of Chromium, and their memory.

It needs no residua and no torch, so that programs of peers can use it, too.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def server(
    words: list[str], environment: dict[str, str], is_ready: Callable[[str], bool], log: Path
) -> Iterator[Any]:
    """A server in a process group of its own, once its log shows that it is ready."""
    with log.open("w") as out:
        process = subprocess.Popen(
            words, stdout=out, stderr=out, env=os.environ | environment, start_new_session=True
        )
    try:
        while not is_ready(log.read_text()):
            assert process.poll() is None, log.read_text()
            time.sleep(0.02)
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def memory_of_group(leader: int) -> float:
    """MB of all processes of a group; what they share counts once."""
    total = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it has just ended
                if os.getpgid(int(entry.name)) == leader:
                    total += pss(int(entry.name))
    return total / 1000


def pss(process: int) -> int:
    """Kilobytes of a process, with its share of what several use."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


class Chromium:
    """One browser with one tab."""

    def __init__(self, driver: Any) -> None:
        words = ["--no-sandbox", "--disable-gpu", "--enable-precise-memory-info"]
        self.browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=words)
        self.page = self.browser.new_page(viewport={"width": 1280, "height": 900})
        self.page.set_default_timeout(900_000)

    def tab_memory(self) -> float:
        """MB of the largest process that draws pages."""
        session = self.browser.new_browser_cdp_session()
        processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
        return max(pss(int(one["id"])) for one in processes if one["type"] == "renderer") / 1000

    def until(self, condition: str) -> float:
        """Seconds until JavaScript is true, from now."""
        start = time.perf_counter()
        self.page.wait_for_function(f"() => {condition}", polling="raf")
        return time.perf_counter() - start
