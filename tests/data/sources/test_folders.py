import math
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import photograph

from residua.data.images import Images
from residua.data.open import open_dataset, open_evaluation_split
from residua.data.sources.folders import is_among_classes
from residua.data.split import val_mask
from residua.data.walk import walk
from residua.errors import DataError

Maker = Callable[..., Path]


def titles(images: Images) -> list[str]:
    return [images.title(i) for i in range(len(images))]


def refusal(source: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_dataset(str(source), val_fraction=0.2)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("place", "is_among"),
    [("run", True), (".", True), ("cat/run", True), ("../run", False), ("../photos-1", False)],
)
def test_a_run_among_class_folders_is_seen(tmp_path: Path, place: str, is_among: bool) -> None:
    for name in ("photos/cat", "photos/dog", "split/train/cat", "split/train/dog"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    assert is_among_classes(tmp_path / "photos" / place, tmp_path / "photos") == is_among
    assert is_among_classes(tmp_path / "link" / place, tmp_path / "photos") == is_among
    assert not is_among_classes(tmp_path / "split" / "run", tmp_path / "split")
    assert is_among_classes(tmp_path / "split" / "train" / "run", tmp_path / "split")


@pytest.mark.parametrize("name", ["val", "validation", "valid", "test"])
def test_a_folder_with_two_splits_keeps_them(folder: Maker, name: str) -> None:
    folder("train", dog=2, cat=3)
    dataset = open_dataset(str(folder(name, cat=1, dog=1)), val_fraction=0.5)
    assert dataset.train.classes == dataset.test.classes == ("cat", "dog")
    assert titles(dataset.train) == [
        f"train/{name}.png" for name in ("cat/0", "cat/1", "cat/2", "dog/0", "dog/1")
    ]
    assert titles(dataset.test) == [f"{name}/cat/0.png", f"{name}/dog/0.png"]
    assert dataset.train.labels.tolist() == [0, 0, 0, 1, 1]
    for words in (f"2 classes, 5 train + 2 {name} images", f"train and {name}"):
        assert words in dataset.note
    assert not dataset.grey


def test_one_folder_is_split_by_class_and_stays_split(folder: Maker) -> None:
    root = folder(cat=10, dog=5)
    dataset = open_dataset(str(root), val_fraction=0.2)
    assert np.bincount(dataset.test.labels).tolist() == [2, 1]
    assert sorted(titles(dataset.train) + titles(dataset.test)) == sorted(
        [f"cat/{i}.png" for i in range(10)] + [f"dog/{i}.png" for i in range(5)]
    )
    for words in ("2 classes, 12 train + 3 val images", "by hash, 20% held out"):
        assert words in dataset.note
    moved = root.rename(root.with_name("moved"))
    assert titles(open_dataset(str(moved), val_fraction=0.2).test) == titles(dataset.test)


def test_a_new_image_moves_at_most_one_other(folder: Maker) -> None:
    root = folder(cat=10, dog=10)
    before = set(titles(open_dataset(str(root), val_fraction=0.2).test))
    photograph(9, 9).save(root / "cat" / "new.png")
    after = set(titles(open_dataset(str(root), val_fraction=0.2).test))
    assert len(before - after) <= 1


@given(st.lists(st.integers(2, 40), min_size=1, max_size=5), st.floats(0.01, 0.99))
def test_every_class_is_on_both_sides(counts: list[int], val_fraction: float) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    hashes = np.random.default_rng(0).integers(0, 2**63, len(labels)).astype(np.uint64)
    mask = val_mask(labels, hashes, val_fraction=val_fraction, classes=tuple("abcde"[: len(counts)]))
    for label, count in enumerate(counts):
        val_count = mask[labels == label].sum()
        assert 1 <= val_count < count
        assert val_count in (1, count - 1) or val_count == math.ceil(val_fraction * count - 1e-9)
        chosen, others = hashes[mask & (labels == label)], hashes[~mask & (labels == label)]
        assert chosen.max() < others.min()


def test_the_size_is_the_median_shorter_side(folder: Maker) -> None:
    dataset = open_dataset(str(folder(cat=3, dog=2)), val_fraction=0.2)
    assert dataset.size == 43  # cats are 40 x 50, 43 x 49 and 46 x 48, dogs 40 x 50 and 43 x 49


def test_a_folder_called_train_beside_others_is_a_class(folder: Maker) -> None:
    assert open_dataset(str(folder(bus=2, train=2)), val_fraction=0.2).train.classes == ("bus", "train")


def test_a_train_folder_alone_is_split(folder: Maker) -> None:
    dataset = open_dataset(str(folder("train", cat=5, dog=5)), val_fraction=0.2)
    assert (len(dataset.train), len(dataset.test)) == (8, 2)
    assert dataset.test.title(0).startswith("train/cat/")


def test_images_in_nested_folders_belong_to_their_class(folder: Maker) -> None:
    root = folder(cat=2, dog=2)
    (root / "cat" / "indoor" / "asleep").mkdir(parents=True)
    photograph(9, 9).save(root / "cat" / "indoor" / "asleep" / "x.PNG")
    dataset = open_dataset(str(root), val_fraction=0.2)
    assert "cat/indoor/asleep/x.PNG" in titles(dataset.train) + titles(dataset.test)


def test_hidden_and_foreign_files_are_skipped_and_counted(folder: Maker) -> None:
    root = folder(cat=2, dog=2)
    (root / ".git").mkdir()
    for name in ("cat/.DS_Store", "cat/Thumbs.db", "dog/notes.txt", "readme.md", "cat/.x.png", "loose.JPG"):
        (root / name).write_text("no image")
    dataset = open_dataset(str(root), val_fraction=0.2)
    assert len(dataset.train) + len(dataset.test) == 4
    for words in ("4 hidden", "2 of other kinds", "1 images in no class"):
        assert words in dataset.note


def test_a_link_to_itself_is_a_file_that_cannot_be_read(folder: Maker) -> None:
    root = folder(cat=2, dog=2)
    (link := root / "cat" / "self.png").symlink_to("self.png")
    assert re.search(r"self\.png .*symbolic links", refusal(root))
    assert link in {path for kind, path in walk(root, root=root) if kind == "image"}


def test_links_that_leave_the_folder_are_not_followed(folder: Maker, tmp_path: Path) -> None:
    root = folder(cat=2, dog=2)
    outside = tmp_path / "secret.png"
    photograph(9, 9).save(outside)
    (root / "cat" / "out.png").symlink_to(outside)
    (root / "cat" / "in.png").symlink_to(root / "dog" / "0.png")
    (root / "cat" / "loop").symlink_to(root)
    (root / "bird").symlink_to(tmp_path)
    dataset = open_dataset(str(root), val_fraction=0.2)
    assert dataset.train.classes == ("cat", "dog")
    assert len(dataset.train) + len(dataset.test) == 5
    assert dataset.note.endswith("; skipped files: 3 linked")


def test_a_class_that_training_lacks_is_named(folder: Maker) -> None:
    folder("train", cat=2, dog=2)
    message = refusal(folder("val", cat=1, emu=1))
    assert "'emu'" in message
    assert "'cat', 'dog'" in message


def test_classes_of_a_split_are_matched_by_name(folder: Maker) -> None:
    folder("train", ant=2, bee=2, cat=2)
    assert open_dataset(str(folder("val", bee=1, cat=2)), val_fraction=0.2).test.labels.tolist() == [1, 2, 2]


def test_unusable_folders_say_why_and_what_to_do(folder: Maker, tmp_path: Path) -> None:
    assert "nowhere does not exist" in refusal(tmp_path / "nowhere")
    root = folder(cat=2, dog=1)
    assert "'dog' has 1 example" in refusal(root)
    (root / "dog" / "0.png").rename(root / "dog" / "0.svg")
    assert "1 of other kinds" in refusal(root)
    shutil.rmtree(root / "dog")
    assert "1 class folder" in refusal(root)
    assert "0.png is a file" in refusal(root / "cat" / "0.png")


def test_files_that_cannot_be_read_are_counted_and_the_first_is_named(folder: Maker) -> None:
    root = folder(cat=4, dog=4)
    (root / "cat" / "1.png").write_text("text")
    (root / "dog" / "2.png").write_bytes(b"")
    os.mkfifo(root / "dog" / "pipe.png")
    message = refusal(root)
    assert re.search(r"\d of \d+ files .*read", message)
    assert ".png is not an image" in message
    with pytest.raises(DataError, match=r"3 of 9 files .*cat/1\.png"):
        open_evaluation_split(str(root), classes=["cat", "dog"])


def test_names_that_are_no_utf8_still_load_and_print(folder: Maker) -> None:
    root = folder(cat=2, dog=2)
    ugly = os.fsdecode(b"\xff\n$(id).png")
    photograph(9, 9).save(root / "cat" / ugly)
    images = open_evaluation_split(str(root), classes=["cat", "dog"])
    place = titles(images).index("cat/\\udcff\n$(id).png")
    assert images.image(place, "rgb").size == (9, 9)
    "".join(titles(images)).encode()


def test_a_class_whose_folder_is_no_utf8_has_a_name_that_can_be_written(folder: Maker) -> None:
    root = folder(cat=2, dog=2)
    (root / "dog").rename(root / os.fsdecode(b"\xff"))
    assert open_dataset(str(root), val_fraction=0.5).train.classes == ("cat", "\\udcff")


def test_judged_images_are_labelled_in_the_networks_order(folder: Maker) -> None:
    root = folder(cat=2, dog=1)
    split = open_evaluation_split(str(root), classes=["dog", "emu", "cat"])
    assert split.classes == ("dog", "emu", "cat")
    assert titles(split) == ["cat/0.png", "cat/1.png", "dog/0.png"]
    assert split.labels.tolist() == [2, 2, 0]
    with pytest.raises(DataError, match=r"'cat'.*network.*'dog', 'emu'"):
        open_evaluation_split(str(root), classes=["dog", "emu"])


def test_judged_images_are_the_test_split_where_there_is_one(folder: Maker) -> None:
    folder("train", cat=3, dog=3)
    split = open_evaluation_split(str(folder("val", dog=2)), classes=["cat", "dog"])
    assert titles(split) == ["val/dog/0.png", "val/dog/1.png"]
    assert split.labels.tolist() == [1, 1]


def test_a_subset_keeps_titles_labels_and_pixels(files: Images) -> None:
    part = files.subset(np.array([5, 2]))
    assert titles(part) == [files.title(5), files.title(2)]
    assert part.labels.tolist() == files.labels[[5, 2]].tolist()
    assert np.array_equal(part.image(1, "rgb"), files.image(2, "rgb"))


def test_splits_are_known_by_what_people_call_them(folder: Maker) -> None:
    folder("Training_Set", cat=2, dog=2)
    dataset = open_dataset(str(folder("Test-images", cat=1, dog=1)), val_fraction=0.5)
    assert (len(dataset.train), len(dataset.test)) == (4, 2)
    assert dataset.note.endswith("Training_Set and Test-images")


def test_splits_below_the_classes_are_kept(folder: Maker, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for split, count in (("train", 3), ("test", 2)):
            folder(f"{name}", **{split: count})
    dataset = open_dataset(str(tmp_path / "pets"), val_fraction=0.5)
    assert dataset.train.classes == ("cat", "dog")
    assert titles(dataset.test) == [f"{name}/test/{i}.png" for name in ("cat", "dog") for i in range(2)]


def test_a_folder_in_a_folder_is_looked_into_and_said(folder: Maker, tmp_path: Path) -> None:
    folder("archive/data/train", cat=2, dog=2)
    folder("archive/data/val", cat=1, dog=1)
    dataset = open_dataset(str(tmp_path / "pets"), val_fraction=0.5)
    assert (len(dataset.train), len(dataset.test)) == (4, 2)
    assert re.search("folder archive; .*folder data", dataset.note)


def test_a_third_split_is_left_alone_and_said(folder: Maker) -> None:
    folder("train", cat=2, dog=2)
    folder("val", cat=1, dog=1)
    dataset = open_dataset(str(folder("test", cat=3, dog=3)), val_fraction=0.5)
    assert titles(dataset.test) == ["val/cat/0.png", "val/dog/0.png"]
    assert dataset.note.endswith("test is not used")


@pytest.mark.parametrize(("one", "other"), [("Cat", "cat"), ("cafe\u0301", "caf\u00e9")])
def test_classes_that_differ_only_to_a_machine_are_refused(folder: Maker, one: str, other: str) -> None:
    message = refusal(folder(**{one: 2, other: 2}))
    assert "Unicode" in message


def test_a_closed_folder_is_named(folder: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder(cat=2, dog=2)

    def closed(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", closed)  # the tests may run as root, whom no mode stops
    for word in (str(root), "Permission denied"):
        assert word in refusal(root)
