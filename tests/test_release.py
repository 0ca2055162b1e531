"""A release has one version: that of the package, of CITATION.cff, of CHANGELOG.md, and of its tag."""

import re
import subprocess
from pathlib import Path

import pytest

from residua.version import __version__

ROOT = Path(__file__).parents[1]


def git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a repository of git")
    return done.stdout


def test_documents_have_the_version_of_the_package() -> None:
    assert re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)[1] == __version__
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == __version__


def test_a_tag_has_the_version_of_what_it_marks() -> None:
    tags = [tag for tag in git("tag", "--points-at", "HEAD").split() if re.match(r"v\d", tag)]
    assert tags in ([], [f"v{__version__}"])
