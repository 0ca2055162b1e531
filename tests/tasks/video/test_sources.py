"""Where clips are found: folders, lists and the layouts of Kinetics and Something-Something."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import clip_data
from residua.data.open import find as find_source
from residua.data.open import open_dataset, open_evaluation_split
from residua.data.sources.table import parse_source
from residua.errors import DataError

find = partial(find_source, holds="clips")
open_clips = partial(open_dataset, holds="clips")
judging = partial(open_evaluation_split, holds="clips")


def make_files(root: Path, *names: str) -> Path:
    """Files whose names are all that is looked at."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def test_folders_of_clips_are_found_like_folders_of_images(folder: Callable[..., Path]) -> None:
    root = folder(train={"left": 2, "right": 3}, val={"left": 1, "right": 1})
    make_files(root, "train/left/readme.txt", "train/left/.hidden.mp4", "train/left/photo.png")
    dataset = open_clips(f"video:{root}", val_fraction=0.2)
    assert (len(dataset.train), len(dataset.test), dataset.size) == (5, 2, 48)
    assert dataset.train.classes == ("left", "right")
    assert "5 train + 2 val clips" in dataset.note
    assert "1 hidden, 2 of other kinds" in dataset.note


def test_one_folder_is_split_by_hash_and_classes_match_by_name(folder: Callable[..., Path]) -> None:
    root = folder(a=5, b=5)
    dataset = open_clips(f"video:{root}", val_fraction=0.2)
    assert (len(dataset.train), len(dataset.test)) == (8, 2)
    assert judging(f"video:{root}", classes=["b", "c", "a"]).labels.tolist() == [2] * 5 + [0] * 5
    with pytest.raises(DataError, match="network lacks"):
        judging(f"video:{root}", classes=["a", "c"])


def test_a_clip_that_is_none_is_named_and_may_be_left_out(folder: Callable[..., Path]) -> None:
    root = folder(a=4, b=4)
    (root / "a" / "a0.mp4").write_bytes(b"no clip")
    with pytest.raises(DataError, match=r"1 of \d files .*a0\.mp4"):
        open_clips(f"video:{root}", val_fraction=0.25)
    dataset = open_clips(f"video:{root}", val_fraction=0.25, without=["a/a0.mp4"])
    assert len(dataset.train) + len(dataset.test) == 7


def test_a_folder_without_clips_says_what_clips_are(tmp_path: Path) -> None:
    make_files(tmp_path, "a/1.png", "b/2.png")
    with pytest.raises(DataError, match=r"no clip.*MP4, MOV, MKV, WEBM"):
        find(f"video:{tmp_path}")
    with pytest.raises(DataError, match="names no file"):
        find("video:")
    with pytest.raises(DataError, match=r"none does not exist.*video:DIR"):
        find(f"video:{tmp_path / 'none'}")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_lists_name_clips_labels_and_splits(tmp_path: Path, suffix: str) -> None:
    rows = [(f"{i}.mp4", "ab"[i % 2], "train" if i < 4 else "val") for i in range(6)]
    for name, _, _ in rows:
        clip_data.write(tmp_path / name, clip_data.numbered(3))
    file = tmp_path / f"clips{suffix}"
    if suffix == ".csv":
        file.write_text("video,label,split\n" + "".join(f"{','.join(row)}\n" for row in rows))
    else:
        keys = ("Clip", "class", "split")
        file.write_text("".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in rows))
    dataset = open_clips(f"video:{file}", val_fraction=0.2)
    assert [len(dataset.train), len(dataset.test)] == [4, 2]
    assert dataset.test.labels.tolist() == [0, 1]


def test_damaged_json_lines_name_their_row(tmp_path: Path) -> None:
    file = tmp_path / "clips.jsonl"
    for text, says in (
        ('{"path": "1.mp4", "label": "a"}\n{"path": ', "row 2 is no JSON"),
        ("[1, 2]\n", "row 1 is no object"),
        ('{"path": "1.mp4"}\n', "no column .*label"),
        ('{"path": "1.mp4", "label": "a"}\n{"path": "2.mp4"}\n', "row 2 has the label"),
        ('{"path": "../1.mp4", "label": "a"}\n', "outside"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=says):
            find(f"video:{file}")


def test_the_lists_of_kinetics_find_their_clips(tmp_path: Path) -> None:
    head = "label,youtube_id,time_start,time_end,split\n"
    (tmp_path / "train.csv").write_text(
        head
        + "juggling balls,AAAA_bcd-12,5,15,train\nabseiling,zzz,100,110,train\nabseiling,gone,1,11,train\n"
    )
    (tmp_path / "val.csv").write_text(head + "abseiling,yyy,0,10,val\n")
    make_files(
        tmp_path,
        "train/juggling balls/AAAA_bcd-12_000005_000015.mp4",
        "train/abseiling/zzz_000100_000110.mp4",
        "val/yyy_000000_000010.mkv",
        "val/other_000000_000010.mkv",
    )
    for place in (tmp_path, tmp_path / "train.csv"):
        listing = find(f"video:{place}")
        pairs = {listing.train.title(i): listing.train.classes[k] for i, k in enumerate(listing.train.labels)}
        assert pairs == {
            "train/juggling balls/AAAA_bcd-12_000005_000015.mp4": "juggling balls",
            "train/abseiling/zzz_000100_000110.mp4": "abseiling",
        }
        assert any("1 listed clip" in note for note in listing.notes)
    both = find(f"video:{tmp_path}")
    assert both.test is not None
    assert both.test.title(0) == "val/yyy_000000_000010.mkv"
    (tmp_path / "train.csv").write_text(head + "juggling balls,AAAA,soon,15,train\n")
    with pytest.raises(DataError, match=r"train\.csv row 2 .*Kinetics"):
        find(f"video:{tmp_path}")


def test_the_lists_of_something_something_find_their_clips(tmp_path: Path) -> None:
    labels = {"Pushing something left": "1", "Dropping something onto something": "0"}
    train = [
        {"id": "7", "label": "pushing a cup left", "template": "Pushing [something] left"},
        {"id": "9", "label": "x", "template": "Dropping [something] onto [something]"},
        {"id": "404", "label": "x", "template": "Pushing [something] left"},
    ]
    lists = tmp_path / "labels"
    lists.mkdir()
    for name, content in (("labels", labels), ("train", train), ("validation", train[:1])):
        (lists / f"something-something-v2-{name}.json").write_text(json.dumps(content))
    make_files(tmp_path, "videos/7.webm", "videos/9.webm")
    listing = find(f"video:{tmp_path}")
    assert listing.train.classes == ("Dropping something onto something", "Pushing something left")
    assert listing.train.labels.tolist() == [1, 0]
    assert listing.test is not None
    assert listing.test.labels.tolist() == [1]
    assert any("1 listed clip" in note for note in listing.notes)
    train[0]["template"] = "Eating [something]"
    (lists / "something-something-v2-train.json").write_text(json.dumps(train))
    with pytest.raises(DataError, match="'Eating something'"):
        find(f"video:{tmp_path}")


def test_an_absolute_source_can_be_read_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(parse_source("video:clips").absolute()) == f"video:{tmp_path / 'clips'}"
    assert str(parse_source("digits").absolute()) == "digits"
