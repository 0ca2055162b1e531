"""What how-to pages and Start show is run, in order, on a folder of small photographs."""

import re
import shlex
from pathlib import Path

import pytest
from PIL import Image
from sklearn.datasets import load_digits
from test_documents import BLOCK, ROOT, by_python, typed

from command import residua, succeeded

HOW_TO = ROOT / "docs/how-to"
PAGES = (
    "cross-validation",
    "data-leakage",
    "early-stopping",
    "imbalanced-classes",
    "learning-rate-and-batch-size",
    "migrate-from-timm",
    "migrate-from-torchvision",
    "mixed-precision",
    "notebooks",
    "offline",
    "resume",
    "small-data",
    "windows",
)
QUICK = {
    "--weights auto --recipe probe": "-m cifar_resnet20 --epochs 1 --folds 2",
    "--minutes 5": "-m cifar_resnet20 --from-scratch --epochs 2",
}
"""In place of options that download weights, or take minutes."""

pytestmark = pytest.mark.battery


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with digits in `photos`, some of them in `new`, too."""
    digits = load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images[:200], digits.target, strict=False)):
        for place in (f"photos/digit {label}", *(["new"] if number < 5 else [])):
            file = tmp_path / place / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((pixels * 15.9).astype("uint8")).resize((16, 16)).save(file)
    return tmp_path


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_run_in_order(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESIDUA_OFFLINE", "1")
    blocks = BLOCK.findall((HOW_TO / f"{page}.md").read_text())
    assert blocks
    for kind, text in blocks:
        if kind == "python":
            by_python(folder, text)
        else:
            typed(folder, re.sub(r"(?m)^export .*\n", "", text))


@pytest.mark.timeout(300)
def test_the_walk_from_photographs_to_a_served_network_runs(folder: Path) -> None:
    text = (ROOT / "docs/start/my-photos.md").read_text()
    for words, quick in QUICK.items():
        assert words in text
        text = text.replace(words, quick)
    commands = re.findall(r"^\$ (residua .*)$", text, re.MULTILINE)
    *commands, serve = [shlex.split(command, comments=True) for command in commands]
    outputs = [succeeded(residua(*words, cwd=folder)) for _, *words in commands]
    assert serve[1] == "serve"
    assert (folder / serve[2]).exists()
    assert len(outputs) == 9
    assert "onnx" in outputs[-2]
