import multiprocessing
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
import torch
from pictures import photograph

from residua.data import batches, transforms
from residua.data.batches import Batch
from residua.data.images import Images
from residua.errors import DataError
from residua.spec.augment import Augment
from residua.spec.preprocess import Preprocess

CPU = torch.device("cpu")
SMALL = Preprocess(12, 14, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
CROP = Augment(kind="resized_crop")


def run(images: Images, augment: Augment = CROP, **changes: int) -> list[Batch]:
    settings = {
        "seed": 3,
        "batch_size": 8,
        "first": 0,
        "steps": 5,
        "workers": 0,
        "resident_bytes": 0,
        **changes,
    }
    return list(batches.training_batches(images, SMALL, augment, device=CPU, **settings))


def same(one: Iterable[Batch], other: Iterable[Batch]) -> bool:
    return all(
        torch.equal(a.images, b.images)
        and torch.equal(a.labels, b.labels)
        and np.array_equal(a.indices, b.indices)
        and a.epoch == b.epoch
        and a.images.stride() == b.images.stride()
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_workers_change_nothing(files: Images, workers: int) -> None:
    assert same(run(files), run(files, workers=workers))


def test_resident_and_loaded_batches_are_equal(files: Images, arrays: Images) -> None:
    for images in (files, arrays):
        assert same(run(images, Augment(pad=2)), run(images, Augment(pad=2), resident_bytes=1 << 30))


def test_a_run_resumes_at_any_step_with_other_workers(files: Images) -> None:
    whole = run(files)
    assert same(whole[3:], run(files, first=3, workers=2))
    assert same(whole[1:3], run(files, first=1, steps=3))
    assert run(files, first=5) == []


def test_another_seed_and_another_epoch_differ(files: Images) -> None:
    assert not same(run(files), run(files, seed=4))
    first, second = run(files, batch_size=len(files), steps=2)
    assert (first.epoch, second.epoch) == (0, 1)
    assert not np.array_equal(first.indices, second.indices)
    assert not torch.equal(first.images[np.argsort(first.indices)], second.images[np.argsort(second.indices)])


def test_labels_and_pixels_belong_to_the_indices(files: Images) -> None:
    for batch in run(files):
        for place, index in enumerate(batch.indices.tolist()):
            assert batch.labels[place] == files.labels[index]
            image = files.image(index, "rgb")
            assert np.array_equal(
                batch.images[place], transforms.train_view(image, SMALL, CROP, 3, batch.epoch, index)
            )


@pytest.mark.parametrize("resident_bytes", [0, 1 << 30])
def test_ranks_divide_the_global_batch(arrays: Images, resident_bytes: int) -> None:
    augment = Augment(pad=1)
    whole = run(arrays, augment, resident_bytes=resident_bytes)
    parts = [run(arrays, augment, rank=rank, world=3, resident_bytes=resident_bytes) for rank in range(3)]
    for step, batch in enumerate(whole):
        for rank in range(3):
            assert np.array_equal(parts[rank][step].indices, batch.indices[rank::3])
            assert torch.equal(parts[rank][step].images, batch.images[rank::3])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("resident_bytes", [0, 1 << 30])
def test_evaluation_shows_every_image_once_and_in_order(
    files: Images, workers: int, resident_bytes: int
) -> None:
    every = list(
        batches.evaluation_batches(files, SMALL, batch_size=8, workers=workers, resident_bytes=resident_bytes)
    )
    assert [len(batch.labels) for batch in every] == [8, 8, len(files) - 16]
    assert np.array_equal(np.concatenate([batch.indices for batch in every]), np.arange(len(files)))
    for place, batch in enumerate(every):
        expected = transforms.eval_view(files.image(8 * place, "rgb"), SMALL)
        assert np.array_equal(batch.images[0], expected)
        assert np.array_equal(batch.labels, files.labels[batch.indices])


@pytest.mark.parametrize("workers", [0, 2])
def test_the_global_random_state_is_unchanged(files: Images, workers: int) -> None:
    before = torch.get_rng_state()
    run(files, workers=workers)
    list(batches.evaluation_batches(files, SMALL, batch_size=8, workers=workers, resident_bytes=0))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_file_is_an_error_of_one_line(files: Images, workers: int) -> None:
    assert files.files is not None
    files.files[7].write_bytes(b"gone")
    for read in (
        lambda: run(files, workers=workers, steps=9),
        lambda: list(
            batches.evaluation_batches(files, SMALL, batch_size=8, workers=workers, resident_bytes=0)
        ),
    ):
        with pytest.raises(DataError) as caught:
            read()
        assert ".png is not an image" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not multiprocessing.active_children()


def test_workers_end_with_their_batches(files: Images) -> None:
    stream = batches.training_batches(
        files, SMALL, CROP, seed=0, batch_size=4, first=0, steps=99, workers=2, resident_bytes=0, device=CPU
    )
    next(stream)
    assert len(multiprocessing.active_children()) == 2
    stream.close()  # type: ignore[attr-defined]
    assert not multiprocessing.active_children()


def test_a_set_smaller_than_the_batch_is_used_whole(arrays: Images) -> None:
    few = arrays.subset(np.array([2, 5, 9]))
    for resident_bytes in (0, 1 << 30):
        small_batches = run(few, Augment(), batch_size=8, steps=3, resident_bytes=resident_bytes)
        assert [batch.epoch for batch in small_batches] == [0, 1, 2]
        assert all(sorted(batch.indices) == [0, 1, 2] for batch in small_batches)


def test_images_get_the_colour_of_the_network(files: Images) -> None:
    assert files.files is not None
    photograph(30, 30).convert("L").save(files.files[0])
    batch = next(
        iter(
            batches.evaluation_batches(
                files, replace(SMALL, colour="rgb"), batch_size=4, workers=0, resident_bytes=0
            )
        )
    )
    assert batch.images.shape == (4, 3, 12, 12)
    grey = Preprocess(12, 14, (0.5,), (0.5,), colour="grey")
    assert next(
        iter(batches.evaluation_batches(files, grey, batch_size=4, workers=0, resident_bytes=0))
    ).images.shape == (
        4,
        1,
        12,
        12,
    )
