"""`residua export`: what people see, what is on disk, and the exit code."""

import json
import re
from pathlib import Path

import pytest
import torch

from command import python, residua, succeeded
from residua.cli.export import TO
from residua.nn.network import build
from residua.predict import folder
from residua.predict.export.targets import TARGETS
from small import arch, photo_folder, randomise_norms

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a saved network, `photos-1`, and photos."""
    place = tmp_path_factory.mktemp("place")
    torch.manual_seed(0)
    network = build(arch())
    randomise_norms(network)
    network.class_names = ("blue", "green", "red")
    folder.save(network.eval(), place / "photos-1")
    (photo_folder(place / "photos", count=4, side=31) / "red" / "00.jpg").rename(place / "photo.jpg")
    return place


def test_that_a_file_that_reads_images_predicts_and_is_used_as_the_page_says(place: Path) -> None:
    words = ("export", "photos-1", "--with-preprocessing", "--verify", "photos", "--force")
    printed = succeeded(residua(*words, cwd=place))
    assert "kept" in printed
    assert "next: residua predict photos-1.onnx" in printed
    predicted = [
        json.loads(succeeded(residua("predict", each, "photo.jpg", "--topk", "3", "--json", cwd=place)))
        for each in ("photos-1", "photos-1.onnx")
    ]
    names = [[one["class"] for one in each[0]["top"]] for each in predicted]
    assert names[0] == names[1]
    page = (ROOT / "docs/how-to/exporting.md").read_text()
    example = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    assert "(1, 3)" in succeeded(python("-c", f"{example}\nprint(logits.shape)", cwd=place))


def test_that_help_and_the_page_name_every_target() -> None:
    page = (ROOT / "docs/how-to/exporting.md").read_text()
    assert all(f"| `{name}` | " in page for name in TARGETS)
    assert TO.help == f"{', '.join(TARGETS)}; several with commas."


def test_that_a_layout_is_written_in_place_of_the_file(place: Path) -> None:
    printed = succeeded(residua("export", "photos-1", "--layout", "triton", "-o", "repository", cwd=place))
    assert "next: residua predict repository/photos-1/1/model.onnx" in printed
    assert sorted(path.name for path in (place / "repository").rglob("*") if path.is_file()) == [
        "config.pbtxt",
        "labels.txt",
        "model.onnx",
    ]


def test_that_json_has_one_document_with_the_digests(place: Path) -> None:
    finished = residua("export", "photos-1", "--to", "pt2", "--json", "--force", cwd=place)
    document = json.loads(succeeded(finished))
    [file] = document["files"]
    assert file["target"] == "pt2"
    assert list(file["sha256"]) == ["photos-1.pt2"]


def test_that_explain_lists_every_norm_and_writes_nothing(place: Path) -> None:
    before = sorted(place.iterdir())
    printed = succeeded(residua("export", "photos-1", "--explain", cwd=place))
    assert "stem" in printed
    assert "folded" in printed
    assert sorted(place.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "code", "word"),
    [
        (("photos-1", "--to", "onxx"), 2, "onnx"),
        (("photos-2",), 5, "photos-2"),
        (("photo.jpg",), 5, "photo.jpg"),
        (("photos-1", "--verify", "nowhere", "--force"), 4, "nowhere"),
        (("photos-1", "--to", "onnx,pt2", "-o", "photo.jpg"), 2, "folder"),
        (("photos-1", "--layout", "tritn"), 2, "triton"),
        (("photos-1", "--max-drop", "1"), 2, "--int8"),
    ],
)
def test_that_what_cannot_be_exported_ends_in_a_line(
    place: Path, words: tuple[str, ...], code: int, word: str
) -> None:
    finished = residua("export", *words, cwd=place)
    assert finished.returncode == code, finished.stderr
    assert word in finished.stderr
    assert finished.stderr.count("\n") == 1
