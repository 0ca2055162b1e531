"""Seconds of each step of docs/start/five-minutes.md on this machine, from an empty environment.

    python deploy/newcomer.py                     # prints a Markdown table

It makes a fresh environment in a temporary folder, installs this repository there, and runs every block of
the page in order, as a newcomer would type it. `residua serve` is timed until its first prediction. What pip
downloads again depends on its cache: `PIP_NO_CACHE_DIR=1` downloads everything.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/start/five-minutes.md"
BLOCK = re.compile(r"```(console|sh|python)\n(.*?)```", re.DOTALL)
ADDRESS = "http://127.0.0.1:8000"
LIMIT = 120.0
"""Seconds that the server has until its first answer."""


def steps() -> Iterator[tuple[str, list[str] | str]]:
    """What a newcomer types, in the order of the page: its text, and words of a command or Python."""
    yield "python -m venv .venv", [sys.executable, "-m", "venv", ".venv"]
    for kind, block in BLOCK.findall(PAGE.read_text("utf-8")):
        if kind == "python":
            yield f"Python: {block.count(chr(10))} lines", block
        else:
            for line in block.splitlines():
                words = shlex.split(line.removeprefix("$ "), comments=True)
                yield shlex.join(words), words


def seconds_until_first_answer(words: list[str], folder: Path, environment: dict[str, str]) -> float:
    """Seconds from the start of the server to its first prediction; then it is stopped."""
    image = next(folder.glob("photos/*/*")).read_bytes()
    began = time.perf_counter()
    with subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.DEVNULL) as server:
        try:
            while server.poll() is None and time.perf_counter() - began < LIMIT:
                try:
                    urllib.request.urlopen(f"{ADDRESS}/predict", image).read()  # noqa: S310 - our own server
                    return time.perf_counter() - began
                except urllib.error.URLError:
                    time.sleep(0.05)
        finally:
            server.terminate()
    raise SystemExit(f"{shlex.join(words)} gave no prediction within {LIMIT:.0f} s")


def seconds_of(what: list[str] | str, folder: Path) -> float:
    """Seconds that a command or Python takes in `folder` with its environment; SystemExit if it fails."""
    path = os.pathsep.join([str(folder / ".venv/bin"), os.environ["PATH"]])
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PATH": path}
    words = ["python", "-c", what] if isinstance(what, str) else what
    if words[:2] == ["residua", "serve"]:
        return seconds_until_first_answer(words, folder, environment)
    place = ROOT if words[0] == "pip" else folder
    began = time.perf_counter()
    done = subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{shlex.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return time.perf_counter() - began


def main() -> None:
    """Run the page and print the table."""
    print("| step | seconds |\n| --- | --- |", flush=True)
    with tempfile.TemporaryDirectory(prefix="newcomer-") as folder:
        for text, what in steps():
            print(f"| `{text}` | {seconds_of(what, Path(folder)):.1f} |", flush=True)


if __name__ == "__main__":
    main()
