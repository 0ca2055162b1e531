"""One run, trained by the command line, that many tests ask about."""

import shutil
from pathlib import Path

import pytest

from command import residua, succeeded
from small import arch, file_of, recipe, split_folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of small pictures, `train` beside `val`."""
    return split_folder(tmp_path_factory.mktemp("data") / "photos", train=12, val=6)


@pytest.fixture(scope="session")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on `photos`; not to be changed."""
    folder = tmp_path_factory.mktemp("trained")
    recipe_file = file_of(recipe("", arch=arch()), folder / "recipe.json")
    out = succeeded(residua("train", photos, "--recipe", recipe_file, "--epochs", "8", "-o", folder / "run"))
    assert f"next: residua evaluate {folder / 'run'}" in out
    return folder / "run"


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return shutil.copytree(trained, tmp_path / "copied")
