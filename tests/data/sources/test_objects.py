"""Images that Python hands over: torch Datasets, and sets of the Hugging Face library, saved locally."""

from collections.abc import Iterator
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
            "float": torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255,
            "normalised": torch.linspace(-1, 1, 504).view(3, 12, 14),
            "deep": Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 256),
        }
        return forms[self.form], i % 3


@pytest.mark.parametrize("form", ["pil", "array", "tensor", "float"])
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
    with pytest.raises(DataError, match=r"sample \d+: .*from -1 to 1"):
        build_dataset(list_dataset_objects(Photos("normalised")), val_fraction=0.5)
    with pytest.raises(DataError, match="list cannot be used"):
        list_dataset_objects([1, 2, 3])
    with pytest.raises(DataError, match="no sample"):
        list_dataset_objects(Photos(count=0))
    for labels in ([1.5] * 24, [-1] * 24, ["ant"] * 24):
        photos = Photos()
        photos.targets = labels  # type: ignore[attr-defined]
        with pytest.raises(DataError, match=r"Photos .*labels"):
            list_dataset_objects(photos)


class Stream(torch.utils.data.IterableDataset[Any]):
    def __iter__(self) -> Iterator[tuple[Any, int]]:
        return iter(())


X, Y = np.stack([np.asarray(photograph(14, 12, seed=s)) for s in range(24)]), np.arange(24) % 3


@pytest.mark.parametrize(
    ("word", "data"),
    [
        ("no length", Stream()),
        ("loader.dataset", torch.utils.data.DataLoader(Photos())),
        (r"give \(X, y\)", X),
        ("tuple of 4", (X, X, Y, Y)),
        ("is no set", ("photos/train", "photos/val")),
        (r"shape \(9,\)", (X, Y[:9])),
        (r"shape \(24, 3\).*argmax", (X, np.eye(3)[Y])),
        (r"y has", (X, Y - 1)),
        (r"y has", (X, Y + 0.5)),
        (r"from 0 to 2", (np.linspace(0, 2, 24 * 75).reshape(24, 5, 5, 3), Y)),
        (r"\(24, 3, 14, 12\)", (X.transpose(0, 3, 2, 1), Y)),
        ("empty", (X[:0], Y[:0])),
        (r"no train", {"test": Photos()}),
    ],
)
def test_other_objects_are_named_with_what_to_give(word: str, data: object) -> None:
    with pytest.raises(DataError, match=word) as caught:
        list_dataset_objects(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "pair",
    [
        (X, Y),
        (X, Y.tolist()),
        (X, Y[:, None]),
        (X, Y.astype(float)),
        (X / 255, torch.from_numpy(Y)),
        (torch.from_numpy(X).permute(0, 3, 1, 2), Y),
        (torch.from_numpy(X).permute(0, 3, 1, 2) / 255, Y),
    ],
)
def test_arrays_of_every_form_are_the_same_images(pair: tuple[Any, Any]) -> None:
    images = list_dataset_objects(pair).train
    assert images.identity() == list_dataset_objects((X, Y)).train.identity()
    assert images.classes == ("0", "1", "2")
    assert np.array_equal(images.image(5, "rgb"), X[5])


def test_texts_in_y_are_the_names_of_classes() -> None:
    names = ["dog", "ant", "bee"]
    images = list_dataset_objects((X[..., 0], [names[label] for label in Y])).train
    assert images.classes == ("ant", "bee", "dog")
    assert images.labels.tolist() == [2, 0, 1] * 8
    assert np.array_equal(images.image(5, "grey"), X[5, :, :, 0])


def test_a_tuple_that_begins_with_an_array_is_images_and_labels_any_other_two_sets() -> None:
    alone = list_dataset_objects((X, Y))
    assert (alone.source, alone.test) == ("python:arrays", None)
    for two in (
        ((X, Y), (X[:6], Y[:6])),
        (Photos(), Photos(count=6)),
        (Photos(), (X[:6], ["ant", "bee", "cat"] * 2)),
        {"train": Photos(), "validation": Photos(count=6), "test": Photos(count=9)},
    ):
        dataset = build_dataset(list_dataset_objects(two), val_fraction=0.5)
        assert (len(dataset.train), len(dataset.test), dataset.test.name) == (24, 6, "val")


def test_a_list_of_pairs_is_a_set(tmp_path: Path) -> None:
    photograph(14, 12, seed=7).save(tmp_path / "a.png")
    pairs = [(photograph(14, 12, seed=s), s % 2) for s in range(6)]
    images = list_dataset_objects([*pairs, (str(tmp_path / "a.png"), 1)]).train
    assert images.labels.tolist() == [0, 1, 0, 1, 0, 1, 1]
    assert np.array_equal(images.image(6, "rgb"), photograph(14, 12, seed=7))


def test_a_subset_knows_labels_and_classes_of_its_set() -> None:
    class Known(Photos):
        targets = torch.arange(24) % 3

        def __getitem__(self, i: int) -> tuple[Any, int]:
            raise RuntimeError("asked")

    images = list_dataset_objects(torch.utils.data.Subset(Known(), [5, 0, 1])).train
    assert (images.labels.tolist(), images.classes) == ([2, 0, 1], ("ant", "bee", "cat"))


def test_a_run_is_evaluated_on_arrays_by_the_names_of_their_classes(tmp_path: Path) -> None:
    recipe_file = file_of(recipe("", arch=arch()), tmp_path / "recipe.json")
    names = [("ant", "bee", "cat")[label] for label in Y]
    run = residua.train((X, names), recipe=str(recipe_file), out=tmp_path / "run", progress=False)
    some = np.flatnonzero(Y > 0)
    (score,) = residua.evaluate(run, data=(X[some], [names[i] for i in some]))
    classify = run.predictor()
    right = [one.top()[0][0] == names[i] for one, i in zip(classify(X[some]), some, strict=True)]
    assert (score.n, score.top1) == (16, pytest.approx(100 * np.mean(right)))
    (both,) = residua.evaluate(run, data=((X, names), (X[some], [names[i] for i in some])))
    assert both.n == 16
    with pytest.raises(DataError, match="data="):
        residua.evaluate(run)
    with pytest.raises(DataError, match="dog"):
        residua.evaluate(run, data=(X, ["dog"] * 24))


def test_arrays_train_and_resume(tmp_path: Path) -> None:
    recipe_file = file_of(recipe("", arch=arch()), tmp_path / "recipe.json")
    run = residua.train((X, Y), recipe=str(recipe_file), out=tmp_path / "run", progress=False)
    assert (run.recipe.data.source, run.finished) == ("python:arrays", True)
    (run.path / "finished.json").unlink()
    before = weights(run)
    max(run.checkpoints.iterdir()).unlink()
    other = X.copy()
    other[0, 0, 0, 0] ^= 1
    with pytest.raises(DataError, match="changed"):
        residua.resume(run, data=(other, Y))
    assert weights(residua.resume(run, data=(X, Y), progress=False)) == before


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
    for data in (both, (both["train"], both["test"]), both.with_format("torch")):
        given = build_dataset(list_dataset_objects(data), val_fraction=0.5)
        assert given.train.classes == ("cat", "dog")
        assert (len(given.train), len(given.test)) == (8, 4)
        assert np.array_equal(given.train.image(3, "rgb"), photograph(20, 16, seed=3))
    dataset = open_dataset(f"hf:{tmp_path / 'set'}", val_fraction=0.5)
    assert dataset.train.classes == ("cat", "dog")
    assert (len(dataset.train), len(dataset.test)) == (8, 4)
    assert np.array_equal(dataset.train.image(3, "rgb"), photograph(20, 16, seed=3))
    assert dataset.test.labels.tolist() == [0, 1, 0, 1]
    assert len(open_dataset(f"hf:{tmp_path / 'set'}", val_fraction=0.5).train.identity()) == 32
    both.remove_columns("label").save_to_disk(tmp_path / "bare")
    with pytest.raises(DataError, match=r"1 column of .*0 of classes"):
        open_dataset(f"hf:{tmp_path / 'bare'}", val_fraction=0.5)


def test_whole_numbers_of_a_hugging_face_set_are_classes() -> None:
    datasets = pytest.importorskip("datasets")
    pictures = [photograph(20, 16, seed=seed) for seed in range(6)]
    columns = {"image": pictures, "label": [0, 2, 1] * 2, "id": list(range(6))}
    table = datasets.Dataset.from_dict(columns).cast_column("image", datasets.Image())
    train = build_dataset(list_dataset_objects((table, table)), val_fraction=0.5).train
    assert (train.classes, train.labels.tolist()) == (("0", "1", "2"), [0, 2, 1] * 2)
    with pytest.raises(DataError, match="2 of classes"):
        build_dataset(list_dataset_objects(table.rename_column("label", "kind")), val_fraction=0.5)
    lacking = datasets.Dataset.from_dict({**columns, "label": [0, None, 1] * 2})
    with pytest.raises(DataError, match="without a label"):
        build_dataset(list_dataset_objects(lacking.cast_column("image", datasets.Image())), val_fraction=0.5)
