"""A file that is replaced while a run is stopped ends the resume by name; a moved folder does not."""

import base64
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import box_data
import clip_data
import residua
from residua.data.fingerprints import BYTES, fingerprint
from residua.data.open import find
from residua.data.sources.shards import write_shards
from residua.errors import DataError
from residua.runs.run import DATA, Run, create
from residua.spec.recipe import Data
from residua.tasks.classify.data_task import ClassifyData
from residua.tasks.detect.data_task import DetectData
from residua.tasks.run_data import identity, reopen
from residua.tasks.video.data_task import VideoData
from small import photo_folder, recipe


def begun(tmp_path: Path, source: str, task: object = None) -> tuple[Run, Callable[..., object]]:
    """A run on `source` that was stopped before its first step, and what opens its examples again."""
    task = task or ClassifyData()
    examples = task.open(Data(source), without={})  # type: ignore[attr-defined]
    run = create(tmp_path / "run", recipe(source), identity=identity(examples, {}))
    return run, lambda **moved: reopen(run, task, **moved)  # type: ignore[arg-type]


def resave(file: Path) -> None:
    """The same picture with one brighter pixel, in a file of about the same size."""
    pixels = np.array(Image.open(file))
    pixels[0, 0] ^= 64
    Image.fromarray(pixels).save(file)


def test_a_replaced_image_is_named(tmp_path: Path) -> None:
    root = photo_folder(tmp_path / "photos", count=6)
    run, _ = begun(tmp_path, str(root))
    resave(root / "red" / "02.png")
    with pytest.raises(DataError, match=r"1 of its files, e\.g\. red/02\.png"):
        residua.resume(run.path)


def test_one_byte_in_the_last_kib_is_seen_and_one_in_the_middle_is_not(tmp_path: Path) -> None:
    file = tmp_path / "file"
    content = bytearray(np.random.default_rng(0).bytes(5000))
    marks = {"whole": b""}
    for name, place in (("first", 0), ("last", 4999), ("middle", 2500)):
        file.write_bytes(content)
        marks["whole"] = fingerprint(str(file))
        changed = content.copy()
        changed[place] ^= 1
        file.write_bytes(changed)
        marks[name] = fingerprint(str(file))
    file.write_bytes(content + b"\0")
    marks["longer"] = fingerprint(str(file))
    assert {name for name, mark in marks.items() if mark != marks["whole"]} == {"first", "last", "longer"}


def test_a_moved_folder_and_touched_files_are_the_same(tmp_path: Path) -> None:
    root = photo_folder(tmp_path / "photos", count=6)
    _, again = begun(tmp_path, str(root))
    shutil.copytree(root, tmp_path / "moved", copy_function=shutil.copyfile)  # with other times
    again(source=str(tmp_path / "moved"))


@pytest.mark.parametrize("recorded", [None, "", "!", 5, ["x"]])
def test_a_run_of_an_earlier_version_goes_on_and_a_damaged_record_is_refused(
    tmp_path: Path, recorded: object
) -> None:
    run, again = begun(tmp_path, str(photo_folder(tmp_path / "photos", count=6)))
    known = json.loads((run.path / DATA).read_text())
    assert len(base64.b64decode(known["fingerprints"])) == 18 * BYTES
    del known["fingerprints"]
    if recorded is None:
        (run.path / DATA).write_text(json.dumps(known))
        again()
        return
    (run.path / DATA).write_text(json.dumps({**known, "fingerprints": recorded}))
    with pytest.raises(DataError, match="changed since"):
        again()


def test_a_replaced_video_is_named(tmp_path: Path) -> None:
    for name, seed in (("a/1", 0), ("a/2", 1), ("b/1", 2), ("b/2", 3)):
        clip_data.write(tmp_path / "clips" / f"{name}.mp4", clip_data.numbered(4, seed=seed))
    _, again = begun(tmp_path, f"video:{tmp_path / 'clips'}", VideoData())
    again()
    clip_data.write(tmp_path / "clips/b/1.mp4", clip_data.numbered(4, seed=4))
    with pytest.raises(DataError, match=r"b/1\.mp4"):
        again()


def test_a_replaced_image_with_boxes_is_named_and_a_moved_box_is_seen(tmp_path: Path) -> None:
    root = box_data.voc_folder(tmp_path / "boxes")
    _, again = begun(tmp_path, f"voc:{root}", DetectData())
    again()
    image = sorted((root / "JPEGImages").iterdir())[0]
    before = image.read_bytes()
    image.write_bytes(before + b"\0")
    with pytest.raises(DataError, match=f"JPEGImages/{image.name}"):
        again()
    image.write_bytes(before)
    mark = root / "Annotations" / f"{image.stem}.xml"
    text = mark.read_text()
    left = text.partition("<xmin>")[2].partition("</xmin>")[0]
    mark.write_text(text.replace(f"<xmin>{left}<", f"<xmin>{int(left) + 1}<", 1))
    with pytest.raises(DataError, match="digest"):
        again()


def test_of_shards_the_tar_is_named(tmp_path: Path) -> None:
    write_shards(find(str(photo_folder(tmp_path / "photos", count=6))), tmp_path / "packed")
    _, again = begun(tmp_path, str(tmp_path / "packed"))
    again()
    (tar,) = (tmp_path / "packed").glob("*.tar")
    content = bytearray(tar.read_bytes())
    content[600] ^= 1  # in the first image; the index stays
    tar.write_bytes(content)
    with pytest.raises(DataError, match=tar.name):
        again()


def test_a_pipe_blocks_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    for name in ("pipe.png", "folder.png", "absent.png"):
        with pytest.raises(DataError, match=name):
            fingerprint(str(tmp_path / name))
