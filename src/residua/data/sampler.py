"""Order and random numbers as pure functions of their keys.

There is no generator whose state would have to be saved, and workers cannot disturb one another. The order of
an epoch depends on (seed, epoch), a random number on (seed, epoch, index, stream), whatever ran before.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

# Streams of random numbers, one for each use. A use that needs several numbers takes the streams that follow.
_ORDER, _BALANCE = 0, 10
FLIP, ROW, COLUMN, SCALE, POLICY, ERASE = 1, 2, 3, 4, 5, 6
TRIES, ERASE_TRIES = 16, 64  # four numbers for each of ten tries
COLOUR, CUTOUT, MIX = 112, 120, 124  # six, two and five numbers
BOXES = 200  # the seed of the crop around boxes
CLIP_POSITION = 1024  # one for each segment or frame of a clip
# Any: they are combined with Python's integers and with NumPy's arrays.
_WEYL: Any = 0x9E3779B97F4A7C15  # the three constants of splitmix64 (Steele et al. 2014, fig. 17)
_FIRST: Any = 0xBF58476D1CE4E5B9
_SECOND: Any = 0x94D049BB133111EB
_64_BITS: Any = 2**64 - 1

_Words = TypeVar("_Words", int, NDArray[np.uint64])


def draws(seed: int, epoch: int, indices: NDArray[np.int64], stream: int) -> NDArray[np.float64]:
    """Random numbers in [0, 1), one for each index.

    Args:
        seed: Seed of the run.
        epoch: Epoch from 0, or a step where the number is for a whole batch.
        indices: Indices of examples (n,) int64.
        stream: One of the constants above, plus an offset where a use needs several numbers.

    Returns:
        Uniform numbers (n,) float64. The same arguments give the same numbers on every machine.
    """
    upper_bits = _hash(seed, epoch, indices, stream) >> np.uint64(11)
    return upper_bits.astype(np.float64) * 2.0**-53  # a float64 holds 53 bits


def draw(seed: int, epoch: int, index: int, stream: int) -> float:
    """The number of `draws` for one index, without the overhead of arrays: a crop takes a dozen.

    Args:
        seed: Seed of the run.
        epoch: Epoch from 0.
        index: Index of the example, from 0.
        stream: As in `draws`.

    Returns:
        A uniform number in [0, 1).
    """
    return (_mix(_state(seed, epoch, stream) ^ index) >> 11) * 2.0**-53


def seed_for(seed: int, epoch: int, index: int, stream: int) -> int:
    """A seed of 63 bits for another library's generator, from the same keys.

    Args:
        seed: Seed of the run.
        epoch: Epoch from 0.
        index: Index of the example, from 0.
        stream: As in `draws`.

    Returns:
        An integer from 0 to 2**63 - 1.
    """
    return _mix(_state(seed, epoch, stream) ^ index) >> 1


def order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The order in which an epoch visits `count` images: a read-only permutation (count,).

    Args:
        seed: Seed of the run.
        epoch: Epoch from 0.
        count: Number of images.

    Returns:
        Indices of images (count,) int64. The last four orders are cached.
    """
    return _order(seed, epoch, count)


def balanced(seed: int, epoch: int, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """An order in which all classes come equally often, within one image.

    Images of a small class repeat, none more than once oftener than another. Images of a large class take
    turns from epoch to epoch.

    Args:
        seed: Seed of the run.
        epoch: Epoch from 0.
        labels: Class of each image (N,) int64.

    Returns:
        Indices of images (N,) int64.
    """
    present = np.unique(labels)
    chance = _hash(seed, epoch, np.arange(len(labels)), _BALANCE)
    slots = np.arange(len(labels))
    places = np.empty(len(labels), np.int64)
    for number, label in enumerate(present):
        members = np.flatnonzero(labels == label)
        shuffled = members[np.argsort(chance[members], kind="stable")]
        mine = slots[slots % len(present) == number]
        places[mine] = shuffled[np.arange(len(mine)) % len(members)]
    return places[order(seed, epoch, len(labels))]


def steps_per_epoch(count: int, batch_size: int, *, drop_last: bool = True) -> int:
    """Batches in one epoch.

    Args:
        count: Images in the dataset.
        batch_size: Images of a batch.
        drop_last: Leave out the last, incomplete batch, unless it is the only one.
    """
    return max(1, count // batch_size if drop_last else -(-count // batch_size))


def share(
    seed: int,
    step: int,
    *,
    count: int,
    batch_size: int,
    rank: int = 0,
    world: int = 1,
    drop_last: bool = True,
    order_of: Callable[[int, int, int], NDArray[np.int64]] = order,
) -> tuple[int, NDArray[np.int64]]:
    """The images that one process takes at one step.

    All processes together take the same batch, whatever their number. All batches have the same size: without
    `drop_last`, the last batch of an epoch is filled with the first images of the epoch, others each time.

    Args:
        seed: Seed of the run.
        step: Global step from 0.
        count: Images in the dataset; fewer than `batch_size` make one smaller batch.
        batch_size: Images of all processes together.
        rank: Number of this process, from 0.
        world: Number of processes.
        drop_last: Leave out the last, incomplete batch of an epoch.
        order_of: From (seed, epoch, count) to the order of an epoch.

    Returns:
        The epoch from 0, and the indices (n,) int64 of this process.
    """
    epoch, place = divmod(step, steps_per_epoch(count, batch_size, drop_last=drop_last))
    visits = order_of(seed, epoch, count)
    batch = visits[place * batch_size : (place + 1) * batch_size]
    missing = min(batch_size, count) - len(batch)
    return epoch, (np.concatenate([batch, visits[:missing]]) if missing else batch)[rank::world]


def orders(
    labels: NDArray[np.int64], *, balance_classes: bool
) -> Callable[[int, int, int], NDArray[np.int64]]:
    """The `order_of` of `share`: each image once, or with `balance_classes` each class equally often."""
    if not balance_classes:
        return order
    return lru_cache(maxsize=4)(lambda seed, epoch, _count: balanced(seed, epoch, labels))


@lru_cache(maxsize=4)  # one sort an epoch instead of one a step
def _order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    permutation = np.argsort(_hash(seed, epoch, np.arange(count), _ORDER), kind="stable").astype(np.int64)
    permutation.flags.writeable = False
    return permutation


def _hash(seed: int, epoch: int, indices: NDArray[np.int64], stream: int) -> NDArray[np.uint64]:
    # NumPy's own generators are not used: their streams may change from one version to the next
    return _mix(np.asarray(indices).astype(np.uint64) ^ np.uint64(_state(seed, epoch, stream)))


@lru_cache(maxsize=1024)  # the streams of a few epochs: all images of one share them
def _state(seed: int, epoch: int, stream: int) -> int:
    state = 0
    for part in (seed, epoch, stream):
        state = _mix(state ^ part % 2**64)
    return state


def _mix(z: _Words) -> _Words:
    z = (z + _WEYL) & _64_BITS  # arrays overflow by themselves, Python's integers do not
    z = ((z ^ (z >> 30)) * _FIRST) & _64_BITS
    z = ((z ^ (z >> 27)) * _SECOND) & _64_BITS
    mixed: _Words = (z ^ (z >> 31)) & _64_BITS
    return mixed
