"""A short, seeded fuzzing run by atheris: untrusted input is read or refused with a DataError."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("fuzz.py")
RUNS = {"decode": 4000, "labels": 4000, "shards": 400}
"""Inputs to try in addition to the seeds; a few seconds each."""


def search(name: str, seeds: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    pytest.importorskip("atheris", reason="atheris is not installed: pip install 'residua[fuzz]'")
    command = [sys.executable, SCRIPT, name, seeds, "-seed=1", *options]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=150)


@pytest.mark.parametrize("name", RUNS)
def test_a_short_search_finds_nothing(name: str, tmp_path: Path) -> None:
    done = search(name, tmp_path / "seeds", f"-runs={RUNS[name]}")
    assert done.returncode == 0, done.stderr[-3000:]
    assert list(tmp_path.glob("seeds/found-*")) == []
