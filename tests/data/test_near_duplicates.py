"""Recompressed, resized and brighter copies are found; different pictures are not."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import photograph
from PIL import Image, ImageFilter

from residua.data.near_duplicates import (
    MAX_HASH_DISTANCE,
    THUMBNAIL_SIDE,
    find_duplicates,
    find_near_duplicates,
    group_equal,
    thumbnail_and_hash,
)
from residua.data.open import find
from residua.data.scan import FACTS


def scene(seed: int) -> Image.Image:
    """A random smooth picture."""
    draw = np.random.default_rng(seed)
    coarse = draw.integers(0, 256, (7, 9, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((260, 200), Image.Resampling.BICUBIC)


def recompressed(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream, formats=["JPEG"])


def near_duplicates(pictures: list[Image.Image]) -> list[list[int]]:
    thumbnails, hashes = zip(*map(thumbnail_and_hash, pictures), strict=True)
    return [
        group.tolist() for group in find_near_duplicates(np.array(hashes, np.uint64), np.stack(thumbnails))
    ]


@pytest.mark.parametrize(
    "changed",
    [
        lambda image: recompressed(image, 30),
        lambda image: image.resize((130, 100)),
        lambda image: recompressed(image.resize((90, 70)), 60),
        lambda image: image.point(lambda value: min(255, int(value * 1.05))),
        lambda image: image.convert("L"),
        lambda image: image.filter(ImageFilter.GaussianBlur(1)),
    ],
)
def test_a_changed_copy_is_found_among_others(changed: object) -> None:
    pictures = [scene(seed) for seed in range(40)]
    pictures += [changed(pictures[seed]) for seed in (3, 17)]  # type: ignore[operator]
    assert near_duplicates(pictures) == [[3, 40], [17, 41]]


def test_different_pictures_are_not_alike() -> None:
    assert near_duplicates([scene(seed) for seed in range(200)]) == []
    images = find("digits").train
    assert near_duplicates([images.image(i, "grey") for i in range(0, len(images), 2)]) == []


def test_pictures_of_one_colour_are_not_near_duplicates() -> None:
    assert near_duplicates([Image.new("L", (9, 9), level) for level in (0, 100, 200)]) == []


@pytest.mark.parametrize(("is_flat", "near"), [(False, [(0, 1)]), (True, [])])
def test_images_of_nearly_one_colour_are_in_no_group(is_flat: bool, near: list[tuple[int, int]]) -> None:
    facts = np.zeros(2, FACTS)
    facts["readable"], facts["flat"], facts["hash"] = True, is_flat, 7
    facts["digest"][:, 0], facts["thumb"] = (1, 2), np.eye(THUMBNAIL_SIDE)
    assert find_duplicates(facts) == ([], near)


def test_the_hash_is_the_cosine_transform_of_the_textbook() -> None:
    from scipy.fft import dctn

    image = photograph(100, 80)
    grey = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.BILINEAR, reducing_gap=3.0), float)
    waves = dctn(grey, norm=None)[:8, :8].ravel()[1:]
    bits = waves > np.median(waves)
    assert thumbnail_and_hash(image)[1] == sum(1 << place for place, bit in enumerate(bits.tolist()) if bit)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(0, 12))
def test_the_search_finds_exactly_the_pairs_within_the_distance(seed: int, count: int, bits: int) -> None:
    """Compared with a search over all pairs."""
    draw = np.random.default_rng(seed)
    hashes = draw.integers(0, 2**63, count).astype(np.uint64)
    for place in range(1, count, 3):  # near ones, by flipping bits of the one before
        flips = draw.choice(63, bits, replace=False).astype(np.uint64)
        hashes[place] = (
            hashes[place - 1] ^ np.bitwise_or.reduce(np.uint64(1) << flips) if bits else hashes[place - 1]
        )
    thumbs = np.broadcast_to(
        draw.integers(0, 256, (THUMBNAIL_SIDE, THUMBNAIL_SIDE)).astype(np.uint8),
        (count, THUMBNAIL_SIDE, THUMBNAIL_SIDE),
    )
    near = np.bitwise_count(hashes[:, None] ^ hashes[None]) <= MAX_HASH_DISTANCE
    reach = near
    for _ in range(count.bit_length()):
        reach = (reach.astype(int) @ reach.astype(int)) > 0
    expected = group_equal(np.array([int(np.flatnonzero(row)[0]) for row in reach]))
    assert [group.tolist() for group in find_near_duplicates(hashes, thumbs)] == [
        group.tolist() for group in expected
    ]


def test_many_equal_hashes_take_no_time() -> None:
    hashes = np.full(20_000, 7, np.uint64)
    thumbs = np.broadcast_to(np.arange(256, dtype=np.uint8).reshape(16, 16), (20_000, 16, 16))
    assert [len(group) for group in find_near_duplicates(hashes, thumbs)] == [20_000]
