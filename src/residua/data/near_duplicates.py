"""Images that look alike: a perceptual hash, and the search for near ones that never compares all pairs."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL_SIDE = 16
"""Side in pixels of the grey picture that confirms what the hash proposes."""
MAX_HASH_DISTANCE = 7
"""Bits of 63 in which two hashes of look-alikes may differ. Of 500 photographs of Caltech-101, a JPEG of
quality 30 at a third of the size changes at most 6, 5 % more brightness 6, 10 % more 10; no two of them are
within 7."""
MIN_CORRELATION = 0.995
"""Least correlation of two thumbs of look-alikes. Our choice: none of the 1.6 million pairs among
scikit-learn's 1,797 digits passes. Of the 500 photographs all pass at quality 30, 497 at a third of the size
besides and 497 with 5 % more brightness; with 10 % more 470, for what was white stays white."""

Group = tuple[int, ...]
"""Places of images that belong together."""

_SIDE, _KEPT = 32, 8  # pixels before the cosine transform, and frequencies kept in each direction
_BITS = 16  # of a band: four bands make a hash
_PAIRS = 1 << 22  # compared at a time, to bound memory
_PLACES = np.arange(_SIDE)
_COSINES = np.cos(np.pi * (2 * _PLACES[None] + 1) * _PLACES[:_KEPT, None] / (2 * _SIDE))


def thumbnail_and_hash(image: Image.Image) -> tuple[NDArray[np.uint8], int]:
    """A grey thumb (THUMB, THUMB) and a hash of 63 bits: which low frequencies are above their median.

    The hash is pHash (Zauner 2010), its cosine transform written as two products of matrices.
    """
    grey = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, reducing_gap=3.0)
    pixels = np.asarray(grey, np.float64)
    waves = (_COSINES @ pixels @ _COSINES.T).ravel()[1:]
    bits = np.packbits(waves > np.median(waves), bitorder="little")
    thumb = pixels.reshape(THUMBNAIL_SIDE, 2, THUMBNAIL_SIDE, 2).mean((1, 3)).round().astype(np.uint8)
    return thumb, int.from_bytes(bits.tobytes(), "little")


def find_near_duplicates(hashes: NDArray[np.uint64], thumbs: NDArray[np.uint8]) -> list[NDArray[np.int64]]:
    """Groups of two or more places whose images look alike, each sorted, that of the least place first.

    `hashes` is (N,), `thumbs` (N, THUMB, THUMB). They look alike in a chain: each like another of its group.
    """
    parent = np.arange(len(hashes))
    for one, other in _pairs(hashes):
        good = _correlation(thumbs[one], thumbs[other]) >= MIN_CORRELATION
        for a, b in zip(one[good].tolist(), other[good].tolist(), strict=True):
            low, high = sorted((_root(parent, a), _root(parent, b)))
            parent[high] = low
    roots = np.array([_root(parent, i) for i in range(len(parent))], np.int64)
    return group_equal(roots)


def group_equal(keys: NDArray[np.generic]) -> list[NDArray[np.int64]]:
    """Places (N,) with equal keys, where there are two or more, each group sorted, by their least place."""
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    places = np.argsort(inverse, kind="stable")
    parts = np.split(places, np.cumsum(counts)[:-1])
    return sorted((part for part in parts if len(part) > 1), key=lambda part: int(part[0]))


def find_duplicates(facts: NDArray[np.void]) -> tuple[list[Group], list[Group]]:
    """Groups of places with the same content, and of look-alikes, one of each content, from a scan's `facts`.

    What cannot be read is in none, what shows one colour in no group of look-alikes.
    """
    good = np.flatnonzero(facts["readable"])
    digests = np.ascontiguousarray(facts["digest"][good]).view("V32").ravel()
    same = [tuple(good[group].tolist()) for group in group_equal(digests.view("S32"))]
    again = {place for group in same for place in group[1:]}
    once = np.array([p for p in good.tolist() if p not in again and not facts["flat"][p]], np.int64)
    return same, [tuple(once[group].tolist()) for group in find_near_duplicates(facts["hash"][once], facts["thumb"][once])]


def _pairs(hashes: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs whose hashes differ in at most FAR bits, some of them more than once.

    Two hashes that differ in 7 bits of four bands differ in at most one bit of one (Norouzi et al. 2012), so
    every pair lies in one of 4 x 17 buckets. Equal hashes are compared with the first of their kind alone.
    """
    distinct, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[inverse] != np.arange(len(hashes)))
    if len(again):
        yield first[inverse[again]], again
    for shift in range(0, 64, _BITS):
        band = (distinct >> np.uint64(shift)) & np.uint64((1 << _BITS) - 1)
        by_band = np.argsort(band, kind="stable")
        held = band[by_band]
        for flip in (0, *(1 << bit for bit in range(_BITS))):
            wanted = band ^ np.uint64(flip)
            low, high = np.searchsorted(held, wanted, "left"), np.searchsorted(held, wanted, "right")
            for one, other in _expanded(low, high, by_band):
                near = (one < other) & (np.bitwise_count(distinct[one] ^ distinct[other]) <= MAX_HASH_DISTANCE)
                if near.any():
                    yield first[one[near]], first[other[near]]


def _expanded(
    low: NDArray[np.int64], high: NDArray[np.int64], order: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Every i with every `order[low[i]:high[i]]`, in portions of about _PAIRS."""
    counts = high - low
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _PAIRS, "right")))
        count = counts[start:stop]
        one = np.repeat(np.arange(start, stop), count)
        offset = np.arange(len(one)) - np.repeat(np.cumsum(count) - count, count)
        yield one, order[np.repeat(low[start:stop], count) + offset]
        start = stop


def _correlation(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Correlation of each pair of thumbs, (N,); that of flat ones is 0."""
    flat = [part.reshape(len(part), -1).astype(np.float64) for part in (one, other)]
    centred = [part - part.mean(1, keepdims=True) for part in flat]
    lengths = np.prod([np.linalg.norm(part, axis=1) for part in centred], axis=0)
    products = np.einsum("ij,ij->i", *centred)
    found: NDArray[np.float64] = np.divide(products, lengths, out=np.zeros(len(one)), where=lengths > 0)
    return found


def _root(parent: NDArray[np.int64], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = int(parent[i])
    return i
