"""ImageNet as it comes: tars in a tar, a flat tar, a MAT file; and as folders of synsets."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from pictures import photograph, saved
from scipy.io import savemat

from residua.data.open import find, open_dataset
from residua.errors import DataError

SYNSETS = {"n03126707": "crane", "n02012849": "crane", "n01440764": "tench, Tinca tinca"}
"""In the order of their numbers, which is not that of their names."""
TRUTH = [3, 1, 2, 3]


def member(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def meta() -> bytes:
    kinds = [("ILSVRC2012_ID", "f8"), ("WNID", "O"), ("words", "O"), ("num_children", "f8")]
    rows = [(number, synset, words, 0) for number, (synset, words) in enumerate(SYNSETS.items(), 1)]
    stream = io.BytesIO()
    savemat(stream, {"synsets": np.array([*rows, (4, "n00001740", "entity", 3)], kinds)})
    return stream.getvalue()


def kit(root: Path) -> None:
    with tarfile.open(root / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as tar:
        member(tar, "ILSVRC2012_devkit_t12/data/meta.mat", meta())
        truth = "".join(f"{number}\n" for number in TRUTH).encode()
        member(tar, "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", truth)


def jpeg(seed: int) -> bytes:
    return saved(photograph(40 + seed, 36, seed), "JPEG")


@pytest.fixture
def official(tmp_path: Path) -> Path:
    kit(tmp_path)
    with tarfile.open(tmp_path / "ILSVRC2012_img_train.tar", "w") as outer:
        for number, synset in enumerate(SYNSETS):
            stream = io.BytesIO()
            with tarfile.open(fileobj=stream, mode="w") as inner:
                for i in range(3):
                    member(inner, f"{synset}_{i}.JPEG", jpeg(10 * number + i))
            member(outer, f"{synset}.tar", stream.getvalue())
    with tarfile.open(tmp_path / "ILSVRC2012_img_val.tar", "w") as tar:
        for i in range(len(TRUTH)):
            member(tar, f"ILSVRC2012_val_{i + 1:08}.JPEG", jpeg(50 + i))
    return tmp_path


def test_the_official_archives_are_read_where_they_lie(official: Path) -> None:
    before = sorted(official.rglob("*"))
    dataset = open_dataset(f"imagenet:{official}", val_fraction=0.2)
    assert dataset.train.classes == ("tench, Tinca tinca", "crane (n02012849)", "crane (n03126707)")
    assert "3 classes, 9 train + 4 val images" in dataset.note
    assert dataset.train.labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert dataset.test.labels.tolist() == [1 - 1, 2, 1, 0]
    names = [dataset.train.title(i) for i in range(9)]
    assert names[:4] == [*(f"n01440764/n01440764_{i}.JPEG" for i in range(3)), "n02012849/n02012849_0.JPEG"]
    assert dataset.train.files is not None
    assert dataset.train.files[1] == jpeg(21)
    assert dataset.test.files is not None
    assert dataset.test.files[3] == jpeg(53)
    assert dataset.size == 36
    assert sorted(official.rglob("*")) == before


def test_folders_of_synsets_get_the_words_where_they_are_told(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for synset in SYNSETS:
            (tmp_path / split / synset).mkdir(parents=True)
            for i in range(2):
                (tmp_path / split / synset / f"{i}.JPEG").write_bytes(jpeg(i))
    assert find(f"imagenet:{tmp_path}").train.classes == tuple(sorted(SYNSETS))
    kit(tmp_path)
    listing = find(f"imagenet:{tmp_path}")
    assert listing.train.classes == ("tench, Tinca tinca", "crane (n02012849)", "crane (n03126707)")
    assert listing.test is not None
    assert listing.test.classes == listing.train.classes
    (tmp_path / "LOC_synset_mapping.txt").write_text("n01440764 tench\nn02012849 crane\nn03126707 lift\n")
    assert find(f"imagenet:{tmp_path}").train.classes == ("tench", "crane", "lift")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("ILSVRC2012_devkit_t12.tar.gz", None, "lacks ILSVRC2012_devkit_t12.tar.gz"),
        ("ILSVRC2012_devkit_t12.tar.gz", b"no tar", "cannot be read"),
        ("ILSVRC2012_img_val.tar", None, "ILSVRC2012_img_val.tar cannot be read"),
        ("ILSVRC2012_img_val.tar", b"no tar" * 100, "ILSVRC2012_img_val.tar cannot be read"),
        ("ILSVRC2012_img_train.tar", bytes(10240), "ILSVRC2012_img_train.tar holds no image"),
        ("meta.mat", b"no mat", "is damaged"),
        ("ILSVRC2012_validation_ground_truth.txt", b"1 2 3 9", "numbers without a synset"),
        ("ILSVRC2012_validation_ground_truth.txt", b"1 2 3", "devkit has no label"),
    ],
)
def test_what_is_missing_or_damaged_is_named(
    official: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is None:
        (official / name).unlink()
    else:
        (official / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        open_dataset(f"imagenet:{official}", val_fraction=0.2)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
