import subprocess
import sys

import numpy as np
import pytest

from residua.data.open import open_dataset, open_evaluation_split
from residua.errors import DataError


def test_digits_are_grey_bytes_split_by_class() -> None:
    dataset = open_dataset("digits", val_fraction=0.2)
    assert dataset.grey
    assert dataset.size == 8
    assert dataset.train.classes == tuple("0123456789")
    assert len(dataset.train) + len(dataset.test) == 1797
    for split in (dataset.train, dataset.test):
        assert split.pixels is not None
        assert split.pixels.shape[1:] == (8, 8, 1)
        assert split.pixels.max() == 255
    counts = np.bincount(dataset.test.labels) / np.bincount(
        np.concatenate([dataset.test.labels, dataset.train.labels])
    )
    assert ((counts >= 0.2) & (counts < 0.21)).all()
    assert dataset.test.title(17) == "test 17"
    assert dataset.test.image(0, "rgb").mode == "RGB"


def test_no_digit_is_on_both_sides_and_the_split_is_fixed() -> None:
    one, other = (open_dataset("digits", val_fraction=0.3) for _ in range(2))
    assert np.array_equal(one.test.pixels, other.test.pixels)
    together = np.concatenate([one.train.pixels, one.test.pixels]).reshape(1797, -1)
    assert len(np.unique(together, axis=0)) > 1790  # the set itself holds hardly any twins


def test_digits_to_judge_by_are_those_held_out() -> None:
    held_out = open_dataset("digits", val_fraction=0.2).test
    evaluation_split = open_evaluation_split("digits", classes=tuple("9876543210"))
    assert np.array_equal(evaluation_split.pixels, held_out.pixels)
    assert np.array_equal(evaluation_split.labels, 9 - held_out.labels)
    with pytest.raises(DataError, match=r"'9'.*network"):
        open_evaluation_split("digits", classes=tuple("012345678"))


def test_importing_data_loads_no_heavy_package() -> None:
    code = (
        "import sys, residua.data.batches, residua.data.sources.table;"
        "print(*({'torchvision', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == ""
