import numpy as np
import pytest
import torch
from pictures import photograph

from residua.data import transforms
from residua.data.eval_view import eval_view
from residua.data.images import Images
from residua.data.resident import ResidentImages
from residua.errors import DataError
from residua.spec.augment import Augment
from residua.spec.preprocess import Preprocess

EXACT = Preprocess(12, 12, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
GREY = Preprocess(10, 11, (0.5,), (0.5,), colour="grey")
LARGER = Preprocess(14, 16, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


@pytest.mark.parametrize("preprocess", [EXACT, GREY, LARGER])
@pytest.mark.parametrize(
    "augment", [Augment(), Augment(pad=0), Augment(pad=2, flip=0.0), Augment(kind="none")]
)
def test_a_resident_batch_equals_single_views(
    arrays: Images, preprocess: Preprocess, augment: Augment
) -> None:
    resident = ResidentImages(arrays, preprocess)
    for epoch in range(3):
        indices = np.random.default_rng(epoch).permutation(23)[:16]
        batch = resident.train_batch(indices, augment, 5, epoch)
        for place, index in enumerate(indices.tolist()):
            image = arrays.image(index, preprocess.colour)
            expected = transforms.train_view(image, preprocess, augment, 5, epoch, index)
            assert np.array_equal(batch[place], expected)


def test_resident_files_have_their_eval_views(files: Images) -> None:
    resident = ResidentImages(files, LARGER)
    indices = np.array([3, 0, 16])
    for place, index in enumerate(indices.tolist()):
        expected = eval_view(files.image(index, "rgb"), LARGER)
        assert np.array_equal(resident.eval_batch(indices)[place], expected)


def test_an_array_that_fits_is_shared_and_not_written(arrays: Images) -> None:
    resident = ResidentImages(arrays, EXACT)
    assert arrays.pixels is not None
    before = arrays.pixels.copy()
    resident.train_batch(np.arange(23), Augment(flip=1.0), 0, 0)
    resident.train_batch(np.arange(23), Augment(kind="none", flip=1.0), 0, 0)
    assert np.array_equal(arrays.pixels, before)
    arrays.pixels[4] = 77
    assert (resident.eval_batch(np.array([4])) == 77).all()


def test_batches_are_channels_last(arrays: Images) -> None:
    batch = ResidentImages(arrays, EXACT).train_batch(np.arange(8), Augment(), 0, 0)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert batch.dtype == torch.uint8


def test_no_indices_give_an_empty_batch(arrays: Images) -> None:
    assert ResidentImages(arrays, EXACT).train_batch(np.arange(0), Augment(), 0, 0).shape == (0, 3, 12, 12)


def test_the_limit_counts_bytes(arrays: Images) -> None:
    assert ResidentImages.fits(arrays, EXACT, 23 * 12 * 12 * 3)
    assert not ResidentImages.fits(arrays, EXACT, 23 * 12 * 12 * 3 - 1)


def test_resized_crops_are_refused(arrays: Images) -> None:
    with pytest.raises(ValueError, match="whole images"):
        ResidentImages(arrays, EXACT).train_batch(np.arange(3), Augment(kind="resized_crop"), 0, 0)


def test_a_file_damaged_after_opening_is_named(files: Images) -> None:
    assert files.files is not None
    files.files[5].write_bytes(b"gone")
    with pytest.raises(DataError, match=r"\d\.png is not an image"):
        ResidentImages(files, LARGER)


def test_a_larger_image_keeps_its_view_when_threads_decode(files: Images) -> None:
    assert files.files is not None
    photograph(300, 200).save(files.files[2])
    pixels = ResidentImages(files, LARGER).eval_batch(np.array([2]))[0]
    assert np.array_equal(pixels, eval_view(photograph(300, 200), LARGER))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
def test_an_accelerator_gives_the_same_batches(arrays: Images) -> None:
    here, there = (ResidentImages(arrays, EXACT, device=torch.device(name)) for name in ("cpu", "cuda"))
    indices = np.arange(23)[::-1].copy()
    assert torch.equal(
        here.train_batch(indices, Augment(), 1, 2), there.train_batch(indices, Augment(), 1, 2).cpu()
    )


def test_a_split_that_is_evaluated_again_is_not_decoded_again(files: Images) -> None:
    first = ResidentImages.evaluated(files, EXACT)
    assert ResidentImages.evaluated(files, EXACT) is first
    assert ResidentImages.evaluated(files, LARGER).eval_batch(np.array([0])).shape[-1] == LARGER.size
