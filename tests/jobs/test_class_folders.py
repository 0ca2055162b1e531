"""Copies sorted by class: nothing is overwritten, and a class name leads nowhere else."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exported_files import CLASSES, write_onnx
from residua.data.inputs import Inputs, list_inputs
from residua.errors import ConfigError
from residua.jobs.class_folders import LONGEST_NAME, ClassFolders, safe_name
from residua.jobs.predict import PredictRequest, open_job
from residua.tasks.predict_task import PredictOptions
from small import photo_folder


@given(st.text())
def test_every_name_is_one_part_of_a_path_that_every_system_allows(text: str) -> None:
    name = safe_name(text)
    assert name
    assert len(name.encode()) <= LONGEST_NAME + 1
    assert not set(name) & set('/\\:*?"<>|\0\n')
    assert name not in (".", "..")
    assert name[0] not in " ."
    assert name[-1] not in " ."
    assert name.split(".")[0].lower() not in ("con", "nul", "aux", "prn", "com1", "lpt9")


def test_two_classes_never_share_a_folder(tmp_path: Path) -> None:
    folders = ClassFolders(tmp_path)
    names = ["a/b", "a_b", "A_B", "unsure", "../a", "n02123 tabby, cat"]
    made = [folders.folder_name(name) for name in [*names, "", *names]]
    assert made[:6] == ["a_b", "a_b-2", "A_B-3", "unsure-2", "_a", "n02123 tabby, cat"]
    assert made[6] == "unsure"
    assert made[7:] == made[:6]


def test_different_files_of_one_name_are_all_copied_and_nothing_is_replaced(tmp_path: Path) -> None:
    for place, text in (("one", "1"), ("two", "2"), ("three", "1")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a.png").write_text(text)
    inputs = Inputs.of_files([tmp_path / place / "a.png" for place in ("one", "two", "three")])
    (tmp_path / "out" / "cat").mkdir(parents=True)
    (tmp_path / "out" / "cat" / "a.png").write_text("mine")
    first = ClassFolders(tmp_path / "out")
    for folders in (first, first, ClassFolders(tmp_path / "out")):  # later there is nothing left to copy
        for i in range(3):
            folders.copy(inputs, i, "cat")
        copies = {path.name: path.read_text() for path in (tmp_path / "out" / "cat").iterdir()}
        assert copies == {"a.png": "mine", "a-2.png": "1", "a-3.png": "2"}
    assert [(tmp_path / place / "a.png").read_text() for place in ("one", "two")] == ["1", "2"]


def test_a_prediction_sorts_files_and_packed_images(tmp_path: Path) -> None:
    photos = photo_folder(tmp_path / "photos", count=3)
    (photos / "red" / "01.png").write_bytes(b"no image")
    network = write_onnx(tmp_path / "m.onnx")
    for text, out in ((str(photos), "a"), ("digits", "b")):
        request = PredictRequest(
            network, (text,), PredictOptions(least=0.9), ("sort-into",), sort_into=tmp_path / out
        )
        open_job(request).all_predictions()
    assert {path.name for path in (tmp_path / "a").iterdir()} == set(CLASSES)
    copies = [path for path in (tmp_path / "a").rglob("*.*") if path.is_file()]
    assert len(copies) == 8
    originals = {path.read_bytes(): path.parent.name for path in photos.rglob("*.*")}
    assert all(originals[path.read_bytes()] == path.parent.name for path in copies)
    unsure = [*(tmp_path / "b" / "unsure").iterdir()]  # grey digits have no colour
    assert len(unsure) == len(list_inputs(["digits"]))


def test_a_file_in_the_place_of_the_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ConfigError, match="out is a file"):
        ClassFolders(tmp_path / "out")
