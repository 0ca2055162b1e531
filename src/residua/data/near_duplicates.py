"""Duplicates and near duplicates among images: a perceptual hash, and a search that never compares all pairs.

Candidates are pairs whose hashes differ in at most 7 of 63 bits. Two hashes that differ in at most 7 bits
differ in at most one bit of one of four 16-bit bands, so sorted bands find all candidates (Norouzi et al.
2012). A candidate counts when the small grey pictures of both images correlate.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL_SIDE = 16
"""Side in pixels of the grey picture that confirms a candidate."""
MAX_HASH_DISTANCE = 7
"""Largest number of bits in which the hashes of near duplicates differ. Measured on 500 photographs of
Caltech-101: JPEG quality 30 at a third of the size changes at most 6 bits, 5 % more brightness 6, 10 % more
10; no two of them are within 7."""
MIN_CORRELATION = 0.995
"""Least correlation of the thumbnails of near duplicates. Our choice: none of the 1.6 million pairs among
scikit-learn's 1,797 digits passes. Of 500 photographs of Caltech-101, all pass at JPEG quality 30, 497 also
at a third of the size, 497 also with 5 % more brightness, and 470 with 10 % more, because white stays
white."""

Group = tuple[int, ...]
"""Indices of images that belong together."""

_SIDE, _FREQUENCIES = 32, 8  # pixels before the cosine transform, and frequencies used in each direction
_BAND_BITS = 16  # four bands make a hash
_MAX_PAIRS = 1 << 22  # compared at a time, to bound memory
_PLACES = np.arange(_SIDE)
_COSINES = np.cos(np.pi * (2 * _PLACES[None] + 1) * _PLACES[:_FREQUENCIES, None] / (2 * _SIDE))


def thumbnail_and_hash(image: Image.Image) -> tuple[NDArray[np.uint8], int]:
    """A small grey picture and a perceptual hash.

    The hash is pHash (Zauner 2010): which low frequencies of the cosine transform are above their median.

    Args:
        image: Any image.

    Returns:
        The thumbnail (THUMBNAIL_SIDE, THUMBNAIL_SIDE) uint8, and the hash of 63 bits.
    """
    grey = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, reducing_gap=3.0)
    pixels = np.asarray(grey, np.float64)
    waves = (_COSINES @ pixels @ _COSINES.T).ravel()[1:]
    bits = np.packbits(waves > np.median(waves), bitorder="little")
    thumbnail = pixels.reshape(THUMBNAIL_SIDE, 2, THUMBNAIL_SIDE, 2).mean((1, 3)).round().astype(np.uint8)
    return thumbnail, int.from_bytes(bits.tobytes(), "little")


def find_near_duplicates(
    hashes: NDArray[np.uint64], thumbnails: NDArray[np.uint8]
) -> list[NDArray[np.int64]]:
    """Group images that look alike; each image of a group looks like at least one other of it.

    Args:
        hashes: Perceptual hashes (N,).
        thumbnails: (N, THUMBNAIL_SIDE, THUMBNAIL_SIDE) uint8.

    Returns:
        Groups of two or more indices, each in ascending order; groups are sorted by their first index.
    """
    parent = np.arange(len(hashes))  # a forest of groups (union-find)
    for one, other in _candidate_pairs(hashes):
        is_alike = _correlation(thumbnails[one], thumbnails[other]) >= MIN_CORRELATION
        for a, b in zip(one[is_alike].tolist(), other[is_alike].tolist(), strict=True):
            low, high = sorted((_root(parent, a), _root(parent, b)))
            parent[high] = low
    roots = np.array([_root(parent, i) for i in range(len(parent))], np.int64)
    return group_equal(roots)


def group_equal(keys: NDArray[np.generic]) -> list[NDArray[np.int64]]:
    """Indices with equal keys.

    Args:
        keys: Keys (N,) of any sortable type.

    Returns:
        Groups of two or more indices, each in ascending order; groups are sorted by their first index.
    """
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    order = np.argsort(inverse, kind="stable")
    parts = np.split(order, np.cumsum(counts)[:-1])
    return sorted((part for part in parts if len(part) > 1), key=lambda part: int(part[0]))


def find_duplicates(facts: NDArray[np.void]) -> tuple[list[Group], list[Group]]:
    """Group the images of a scan that are equal, and those that look alike.

    Args:
        facts: Records (N,) of `scan.FACTS`. Unreadable images are in no group, images of one colour in no
            group of near duplicates.

    Returns:
        Groups with equal content, and groups of near duplicates among one image of each content.
    """
    readable = np.flatnonzero(facts["readable"])
    digests = np.ascontiguousarray(facts["digest"][readable]).view("V32").ravel()
    equal = [tuple(readable[group].tolist()) for group in group_equal(digests.view("S32"))]
    repeats = {index for group in equal for index in group[1:]}
    distinct = np.array([i for i in readable.tolist() if i not in repeats and not facts["flat"][i]], np.int64)
    near = find_near_duplicates(facts["hash"][distinct], facts["thumb"][distinct])
    return equal, [tuple(distinct[group].tolist()) for group in near]


def _candidate_pairs(hashes: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs whose hashes differ in at most MAX_HASH_DISTANCE bits, some of them more than once.

    Every pair lies in one of 4 x 17 buckets: a band, equal or with one bit flipped. An image is compared only
    with the first of those with its own hash.
    """
    distinct, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    repeats = np.flatnonzero(first[inverse] != np.arange(len(hashes)))
    if len(repeats):
        yield first[inverse[repeats]], repeats
    for shift in range(0, 64, _BAND_BITS):
        band = (distinct >> np.uint64(shift)) & np.uint64((1 << _BAND_BITS) - 1)
        by_band = np.argsort(band, kind="stable")
        ascending = band[by_band]
        for flip in (0, *(1 << bit for bit in range(_BAND_BITS))):
            target = band ^ np.uint64(flip)
            low, high = (
                np.searchsorted(ascending, target, "left"),
                np.searchsorted(ascending, target, "right"),
            )
            for one, other in _expand(low, high, by_band):
                distance = np.bitwise_count(distinct[one] ^ distinct[other])
                near = (one < other) & (distance <= MAX_HASH_DISTANCE)
                if near.any():
                    yield first[one[near]], first[other[near]]


def _expand(
    low: NDArray[np.int64], high: NDArray[np.int64], order: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Every i with every `order[low[i]:high[i]]`, in chunks of about _MAX_PAIRS."""
    counts = high - low
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _MAX_PAIRS, "right")))
        count = counts[start:stop]
        one = np.repeat(np.arange(start, stop), count)
        offset = np.arange(len(one)) - np.repeat(np.cumsum(count) - count, count)
        yield one, order[np.repeat(low[start:stop], count) + offset]
        start = stop


def _correlation(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Correlation of each pair of thumbnails, (n,); 0 where one has a single colour."""
    flat = [part.reshape(len(part), -1).astype(np.float64) for part in (one, other)]
    centred = [part - part.mean(1, keepdims=True) for part in flat]
    lengths = np.prod([np.linalg.norm(part, axis=1) for part in centred], axis=0)
    products = np.einsum("ij,ij->i", *centred)
    values: NDArray[np.float64] = np.divide(products, lengths, out=np.zeros(len(one)), where=lengths > 0)
    return values


def _root(parent: NDArray[np.int64], i: int) -> int:
    """The root of i's group; shortens the path to it."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = int(parent[i])
    return i
