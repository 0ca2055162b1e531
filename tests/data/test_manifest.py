"""Manifests: what is written is what the sources read; what they could not read is not written."""

from pathlib import Path

import numpy as np
import pytest

from residua.data.images import Images, concatenate
from residua.data.items import CombinedItems, Files
from residua.data.manifest import ManifestEntry, manifest_entries, write_manifest
from residua.data.open import find, open_dataset
from residua.data.split import fold_numbers
from residua.errors import ConfigError, DataError
from small import photo_folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return photo_folder(tmp_path / "photos")


def lines(photos: Path) -> list[ManifestEntry]:
    data = open_dataset(str(photos), val_fraction=0.25)
    return [*manifest_entries(data.train, "train"), *manifest_entries(data.test, "val")]


def test_a_manifest_is_the_same_images_in_the_same_split(photos: Path, tmp_path: Path) -> None:
    before = open_dataset(str(photos), val_fraction=0.25)
    write_manifest(tmp_path / "photos.csv", lines(photos))
    after = open_dataset(str(tmp_path / "photos.csv"), val_fraction=0.5)
    for one, other in ((before.train, after.train), (before.test, after.test)):
        assert one.classes == other.classes
        assert [f"photos/{one.title(i)}" for i in range(len(one))] == [
            other.title(i) for i in range(len(other))
        ]
        assert one.labels.tolist() == other.labels.tolist()


def test_a_manifest_stands_above_its_images_and_replaces_nothing_unasked(
    photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "aside").mkdir()
    with pytest.raises(ConfigError, match=f"into {photos}"):
        write_manifest(tmp_path / "aside/x.csv", lines(photos))
    with pytest.raises(ConfigError, match=r"give \.csv"):
        write_manifest(tmp_path / "x.txt", lines(photos))
    write_manifest(tmp_path / "x.csv", lines(photos))
    with pytest.raises(FileExistsError, match="--force"):
        write_manifest(tmp_path / "x.csv", lines(photos))
    write_manifest(tmp_path / "x.csv", lines(photos), force=True)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["aside", "photos", "x.csv"]


def test_what_no_label_file_can_say_is_refused_and_the_old_file_stays(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("precious")
    first, *rest = lines(photos)
    for label in ("nan", "-3", " red"):
        with pytest.raises(DataError, match=label.strip()):
            write_manifest(tmp_path / "x.csv", [ManifestEntry(first.path, label, "train"), *rest], force=True)
    assert (tmp_path / "x.csv").read_text() == "precious"


def test_lots_in_a_row_are_one_set(photos: Path, tmp_path: Path) -> None:
    images = find(str(photos)).train
    both = concatenate([images.subset(np.array([3, 1])), images.subset(np.array([0]))], name="all")
    assert [both.title(i) for i in range(3)] == [images.title(i) for i in (3, 1, 0)]
    assert isinstance(both.files, Files)
    other = photo_folder(tmp_path / "more", count=2)
    mixed = concatenate([images, find(str(other)).train], name="all")
    assert isinstance(mixed.files, CombinedItems)
    assert len(mixed) == 24 + 6
    last = mixed.subset(np.array([29, 0]))
    assert last.item(0) == other / find(str(other)).train.title(5)
    assert last.item(1) == photos / images.title(0)
    assert last.identity() != mixed.identity()


def test_arrays_in_a_row_are_one_array() -> None:
    data = open_dataset("digits", val_fraction=0.2)
    both = concatenate([data.train, data.test], name="all")
    assert isinstance(both, Images)
    assert len(both) == 1797
    assert both.pixels is not None
    assert (both.pixels[-1] == data.test.pixels[-1]).all()  # type: ignore[index]


def test_folds_are_even_in_every_class_and_copies_stay_together() -> None:
    draw = np.random.default_rng(0)
    labels, hashes = draw.integers(0, 3, 100), draw.integers(0, 2**62, 100).astype(np.uint64)
    folds = fold_numbers(labels, hashes, count=4)
    for label in range(3):
        sizes = np.bincount(folds[labels == label], minlength=4)
        assert sizes.max() - sizes.min() <= 1
    groups = [(1, 50, 99), (4, 7)]
    grouped_folds = fold_numbers(labels, hashes, count=4, together=groups)
    assert all(len(set(grouped_folds[list(group)].tolist())) == 1 for group in groups)
    alone = np.setdiff1d(np.arange(100), np.concatenate(groups))
    assert (grouped_folds[alone] == folds[alone]).all()
