"""What how-to pages and Start show is run, in order, on a folder of small photographs."""

import re
import shlex
import shutil
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import pytest
from PIL import Image
from sklearn.datasets import load_digits
from test_documents import BLOCK, ROOT, by_python, typed

from command import residua, succeeded

PAGES = (
    "how-to/analyses",
    "how-to/cross-validation",
    "how-to/data",
    "how-to/data-leakage",
    "how-to/early-stopping",
    "how-to/engines",
    "how-to/evaluating",
    "how-to/exporting",
    "how-to/going-live",
    "how-to/imbalanced-classes",
    "how-to/learning-rate-and-batch-size",
    "how-to/migrate-from-timm",
    "how-to/migrate-from-torchvision",
    "how-to/mixed-precision",
    "how-to/notebooks",
    "how-to/offline",
    "how-to/reproducing",
    "how-to/resume",
    "how-to/seeing",
    "how-to/shards",
    "how-to/small-data",
    "how-to/windows",
    "start/which-weights",
)
QUICK = {
    "--weights auto --recipe probe": "-m cifar_resnet20 --epochs 1 --folds 2",
    "--minutes 5": "-m cifar_resnet20 --from-scratch --epochs 2",
}
"""In place of options that download weights, or take minutes."""
COUNTED = ('"he2015/fig6", budget="smoke", seeds=1', '"he2015/table1"')
"""An item that is trained, and one that is counted."""

ELSEWHERE = {
    "explanation/notation",
    "how-to/interoperability",
    "how-to/python",
    "how-to/serving",
    "how-to/video",
    "how-to/wandb-and-mlflow",
    "how-to/weights",
    "start/five-minutes",
}
"""Pages whose blocks other tests run, or that need a server which runs."""


def test_every_page_with_blocks_to_run_is_run() -> None:
    docs = ROOT / "docs"
    pages = [page for page in docs.rglob("*.md") if BLOCK.search(page.read_text())]
    names = {page.relative_to(docs).with_suffix("").as_posix() for page in pages}
    assert names == {*PAGES, *ELSEWHERE}


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


def add_trained_network(folder: Path) -> None:
    """The run, the exported files and the photographs that pages about trained networks name."""
    words = "train photos -m cifar_resnet20 --from-scratch --epochs 1 -o runs/photos-1"
    succeeded(residua(*words.split(), cwd=folder))
    succeeded(residua("export", "runs/photos-1", "--with-preprocessing", cwd=folder))
    for name in ("a", "b"):
        shutil.copytree(folder / "runs/photos-1", folder / "runs" / name)
    for name in ("photos.onnx", "model.onnx"):
        shutil.copy(folder / "photos-1.onnx", folder / name)
    for name in ("rose.jpg", "photo.jpg"):
        Image.open(folder / "new/0.png").save(folder / name)


@pytest.mark.battery
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_run_in_order(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESIDUA_OFFLINE", "1")
    blocks = BLOCK.findall((ROOT / f"docs/{page}.md").read_text().replace(*COUNTED))
    assert blocks
    if "runs/photos-1" in str(blocks) or ".onnx" in str(blocks) or "runs/a" in str(blocks):
        add_trained_network(folder)
    for kind, group in groupby(blocks, key=itemgetter(0)):  # Python blocks in a row share their names
        text = "".join(text for _, text in group)
        if kind == "python":
            by_python(folder, text)
        else:
            typed(folder, re.sub(r"(?m)^export .*\n", "", text))


@pytest.mark.battery
@pytest.mark.timeout(300)
def test_the_walk_from_photographs_to_a_served_network_runs(folder: Path) -> None:
    text = (ROOT / "docs/start/my-photos.md").read_text()
    assert all(words in text for words in QUICK)
    outputs = walked(folder, text)
    assert len(outputs) == 10
    assert "onnx" in outputs[-2]


@pytest.mark.battery
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_the_five_minutes_of_the_readme_run(name: str, folder: Path) -> None:
    outputs = walked(folder, (ROOT / name).read_text().partition("```python")[0])
    assert len(outputs) == 5
    assert "next: residua evaluate" in outputs[1]
    assert (folder / "labels.csv").exists()
    assert (folder / "check.html").exists()


def walked(folder: Path, text: str) -> list[str]:
    """What the commands of a page print, on little data; the last would serve what the others made."""
    for words, quick in QUICK.items():
        text = text.replace(words, quick)
    commands = re.findall(r"^\$ (residua .*)$", text, re.MULTILINE)
    *commands, serve = [shlex.split(command, comments=True) for command in commands]
    outputs = [succeeded(residua(*words, cwd=folder)) for _, *words in commands]
    assert serve[1] == "serve"
    assert (folder / serve[2]).exists()
    return outputs
