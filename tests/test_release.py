"""A release has one version: that of the package, of CITATION.cff, of CHANGELOG.md, and of its tag."""

import re
import subprocess
import tomllib
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


def test_the_package_index_gets_a_readme_without_links_to_files_that_it_lacks() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    text = (ROOT / "README.md").read_text("utf-8")
    assert "](docs/" in text
    for row in project["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(row["pattern"], row["replacement"], text)
    targets = re.findall(r"\]\(([^)]*)\)", text)
    assert targets
    assert [target for target in targets if not target.startswith("https://")] == []
    assert "\n*" not in text, "a caption without its picture"
    assert "[" not in re.sub(r"`[^`]*`|\[[^]]*\]\(https://[^)]*\)", "", re.sub(r"(?s)```.*?```", "", text))
