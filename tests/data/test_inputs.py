"""What is predicted: files, folders and sources in one order, a million of them in little memory."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from residua.data.inputs import Inputs, list_inputs
from residua.data.open import find
from residua.data.sources.shards import write_shards
from residua.data.video.clips import CLIP
from residua.errors import DataError
from small import photo_folder


def test_files_and_folders_are_listed_in_the_order_of_the_words(tmp_path: Path) -> None:
    folder, single = photo_folder(tmp_path / "photos", count=2), tmp_path / "z.png"
    single.write_bytes(b"x")
    for ignored in ("notes.txt", ".hidden.png"):
        (folder / "red" / ignored).write_text("x")
    (folder / "red-2").mkdir()
    (folder / "red-2" / "00.png").write_bytes(b"x")
    inputs = list_inputs([str(single), str(folder), str(single)])
    titles = [inputs.title(i) for i in range(len(inputs))]
    assert titles == [
        str(single),
        *map(
            str, sorted(path for path in folder.rglob("*.*") if path.suffix != ".txt" and path.name[0] != ".")
        ),
        str(single),
    ]
    assert [inputs.item(i) for i in range(len(inputs))] == [*map(Path, titles)]


def test_a_source_gives_every_image_of_its_splits(tmp_path: Path) -> None:
    folder = photo_folder(tmp_path / "photos", count=3)
    write_shards(find(str(folder)), tmp_path / "packed")
    listed = [str(folder / "red" / "00.jpg"), str(folder / "blue" / "01.png")]
    inputs = list_inputs([listed[0], str(tmp_path / "packed"), listed[1]])
    assert len(inputs) == 11
    assert [inputs.title(0), inputs.title(10)] == listed
    contents = {inputs.item(i) for i in range(1, 10)}
    assert contents == {path.read_bytes() for path in folder.rglob("*.*")}
    digits = list_inputs([listed[0], "digits"])
    assert isinstance(digits.item(5), Image.Image)
    assert len({digits.title(i) for i in range(len(digits))}) == len(digits) > 1700


def test_a_folder_called_as_a_source_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo_folder(tmp_path / "digits", count=1)
    monkeypatch.chdir(tmp_path)
    assert len(list_inputs(["digits"])) == 3


def test_what_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for text in ("none", str(tmp_path / "empty"), "cifar10:none"):
        with pytest.raises(DataError, match=os.path.basename(text).rpartition(":")[2]):
            list_inputs([text])
    photo_folder(tmp_path / "photos", count=1)
    with pytest.raises(DataError, match="clip"):
        list_inputs([str(tmp_path / "photos")], media_type=CLIP)


def test_the_identity_is_that_of_the_names_in_order() -> None:
    names = ["a.png", "b.png"]
    assert Inputs.of_files(names).identity() == Inputs.of_files(names).identity()
    assert Inputs.of_files(names).identity() != Inputs.of_files(names[::-1]).identity()


def test_a_hundred_thousand_names_are_two_blocks_of_memory() -> None:
    inputs = Inputs.of_files([f"folder/{number:07}.jpg" for number in range(100_000)])
    (files,) = inputs.parts
    assert isinstance(files.names.text, bytes)
    assert isinstance(files.names.ends, np.ndarray)
    assert inputs.title(99_999) == "folder/0099999.jpg"
