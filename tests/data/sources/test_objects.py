"""Images that Python hands over: torch Datasets, and sets of the Hugging Face library, saved locally."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pictures import photograph
from PIL import Image

import residua
from residua.data.listing import build_dataset
from residua.data.open import open_dataset
from residua.data.sources.objects import list_dataset_objects
from residua.errors import DataError
from small import arch, file_of, recipe, rows, weights


class Photos(torch.utils.data.Dataset[Any]):
    """Pictures in one of the forms that people return."""

    def __init__(self, form: str = "pil", count: int = 24) -> None:
        self.form, self.count = form, count
        self.classes = ["ant", "bee", "cat"]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> tuple[Any, int]:
        image = photograph(14, 12, seed=i)
        pixels = np.asarray(image)
        forms = {"pil": image, "array": pixels, "tensor": torch.from_numpy(pixels.copy()).permute(2, 0, 1)}
        forms |= {
            "grey": pixels[:, :, :1],
            "float": torch.rand(3, 12, 14),
            "deep": Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 256),
        }
        return forms[self.form], i % 3


@pytest.mark.parametrize("form", ["pil", "array", "tensor"])
def test_every_form_of_an_image_is_the_same(form: str) -> None:
    dataset = build_dataset(list_dataset_objects(Photos(form)), val_fraction=0.25)
    assert dataset.train.classes == ("ant", "bee", "cat")
    assert (len(dataset.train), len(dataset.test), dataset.size) == (18, 6, 12)
    place = int(dataset.train.title(0).removeprefix("sample "))
    assert np.array_equal(dataset.train.image(0, "rgb"), photograph(14, 12, seed=place))


def test_grey_and_sixteen_bits_follow_the_rules_of_files() -> None:
    grey = list_dataset_objects(Photos("grey")).train.image(3, "rgb")
    assert np.array_equal(np.asarray(grey)[..., 2], np.asarray(photograph(14, 12, seed=3))[..., 0])
    deep = list_dataset_objects(Photos("deep")).train.image(3, "grey")
    assert np.array_equal(deep, np.asarray(photograph(14, 12, seed=3))[..., 0])


def test_what_is_no_image_or_no_label_is_refused() -> None:
    with pytest.raises(DataError, match=r"sample \d+ is float32"):
        build_dataset(list_dataset_objects(Photos("float")), val_fraction=0.5)
    with pytest.raises(DataError, match="list cannot be used"):
        list_dataset_objects([1, 2, 3])
    with pytest.raises(DataError, match="has no sample"):
        list_dataset_objects(Photos(count=0))


def test_labels_come_from_targets_without_a_pass() -> None:
    class Known(Photos):
        targets = torch.arange(24) % 2

        def __getitem__(self, i: int) -> tuple[Any, int]:
            raise RuntimeError("asked")

    images = list_dataset_objects(Known()).train
    assert images.labels.tolist() == [0, 1] * 12
    with pytest.raises(DataError, match=r"sample 5 .*asked"):
        images.image(5, "rgb")


def test_a_dataset_trains_and_resumes(tmp_path: Path) -> None:
    recipe_file = file_of(recipe("", arch=arch()), tmp_path / "recipe.json")
    pair = (Photos(), Photos(count=9))
    whole, half = (
        residua.train(pair, recipe=str(recipe_file), out=tmp_path / name) for name in ("whole", "half")
    )
    assert (whole.recipe.data.source, whole.metrics[-1]["step"]) == ("python:Photos", 12)
    for name in ("finished.json", "report.html"):
        (half.path / name).unlink()
    max(half.checkpoints.iterdir()).unlink()
    with pytest.raises(DataError, match=r"Python.* data="):
        residua.resume(half.path)
    residua.resume(half.path, data=pair)
    assert weights(half) == weights(whole)
    assert rows(half) == rows(whole)


def test_a_hugging_face_set_on_disk_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    names = ["cat", "dog"]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})

    def table(seeds: range) -> Any:
        columns = {"image": [photograph(20, 16, seed=s) for s in seeds], "label": [s % 2 for s in seeds]}
        return datasets.Dataset.from_dict(columns, features=features)

    both = datasets.DatasetDict({"train": table(range(8)), "test": table(range(8, 12))})
    both.save_to_disk(tmp_path / "set")
    dataset = open_dataset(f"hf:{tmp_path / 'set'}", val_fraction=0.5)
    assert dataset.train.classes == ("cat", "dog")
    assert (len(dataset.train), len(dataset.test)) == (8, 4)
    assert np.array_equal(dataset.train.image(3, "rgb"), photograph(20, 16, seed=3))
    assert dataset.test.labels.tolist() == [0, 1, 0, 1]
    assert len(open_dataset(f"hf:{tmp_path / 'set'}", val_fraction=0.5).train.identity()) == 32
    both.remove_columns("label").save_to_disk(tmp_path / "bare")
    with pytest.raises(DataError, match=r"1 columns .*0 of class labels"):
        open_dataset(f"hf:{tmp_path / 'bare'}", val_fraction=0.5)
