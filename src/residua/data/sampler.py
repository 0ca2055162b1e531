"""Order and chance as pure functions of their keys: no state to save, nothing that workers could disturb."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

# The streams of chance. A draw that takes several numbers counts on from its stream.
_ORDER, _BALANCE = 0, 10
FLIP, ROW, COLUMN, SCALE, POLICY, ERASE = 1, 2, 3, 4, 5, 6
TRIES, ERASE_TRIES = 16, 64  # four numbers for each of ten tries
COLOUR, CUTOUT, MIX = 112, 120, 124  # six, two and five numbers
BOXES = 200  # the seed of a view of boxes
MOMENT = 1024  # one for each segment or frame of a clip
# They and their mask stand beside Python's integers and numpy's arrays alike, which no type says.
_WEYL: Any = 0x9E3779B97F4A7C15  # the three constants of splitmix64 (Steele et al. 2014, fig. 17)
_FIRST: Any = 0xBF58476D1CE4E5B9
_SECOND: Any = 0x94D049BB133111EB
_64_BITS: Any = 2**64 - 1

_Words = TypeVar("_Words", int, NDArray[np.uint64])


def draws(seed: int, epoch: int, indices: NDArray[np.int64], stream: int) -> NDArray[np.float64]:
    """Numbers in [0, 1), one for each index, that depend on (seed, epoch, index, stream) and nothing else."""
    upper_bits = _hash(seed, epoch, indices, stream) >> np.uint64(11)
    return upper_bits.astype(np.float64) * 2.0**-53  # a float64 holds 53 bits


def draw(seed: int, epoch: int, index: int, stream: int) -> float:
    """The number that `draws` has for one index, without the price of arrays: a crop takes a dozen."""
    return (_mix(_state(seed, epoch, stream) ^ index) >> 11) * 2.0**-53


def key(seed: int, epoch: int, index: int, stream: int) -> int:
    """A seed of 63 bits for a generator of somebody else's, from the same keys."""
    return _mix(_state(seed, epoch, stream) ^ index) >> 1


def order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The order in which an epoch visits `count` images: a read-only permutation (count,)."""
    return _order(seed, epoch, count)


def balanced(seed: int, epoch: int, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """An order of len(`labels`) images in which all classes that have any come equally often, within one.

    Images of a small class come again, none of them more than once oftener than another; those of a large
    class take turns from epoch to epoch.
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


def steps_per_epoch(count: int, batch: int) -> int:
    """Batches in one epoch: the last, incomplete one is left out, unless it is the only one."""
    return max(1, count // batch)


def share(
    seed: int,
    step: int,
    *,
    count: int,
    batch: int,
    rank: int = 0,
    world: int = 1,
    order_of: Callable[[int, int, int], NDArray[np.int64]] = order,
) -> tuple[int, NDArray[np.int64]]:
    """The epoch of global step `step` (from 0), and the images that `rank` of `world` takes of its batch.

    All ranks together take the same batch at any `world`; a set smaller than `batch` is one smaller batch.
    `order_of(seed, epoch, count)` is the order of an epoch.
    """
    epoch, place = divmod(step, steps_per_epoch(count, batch))
    return epoch, order_of(seed, epoch, count)[place * batch : (place + 1) * batch][rank::world]


def orders(labels: NDArray[np.int64], *, equally: bool) -> Callable[[int, int, int], NDArray[np.int64]]:
    """The `order_of` of a set with these labels: each image once, or each class `equally` often."""
    return lru_cache(maxsize=4)(lambda seed, epoch, _: balanced(seed, epoch, labels)) if equally else order


@lru_cache(maxsize=4)  # one sort an epoch instead of one a step
def _order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    permutation = np.argsort(_hash(seed, epoch, np.arange(count), _ORDER), kind="stable").astype(np.int64)
    permutation.flags.writeable = False
    return permutation


def _hash(seed: int, epoch: int, indices: NDArray[np.int64], stream: int) -> NDArray[np.uint64]:
    # numpy's own generators are not used: their streams may change from one version to the next
    return _mix(np.asarray(indices).astype(np.uint64) ^ np.uint64(_state(seed, epoch, stream)))


@lru_cache(maxsize=1024)  # the streams of a few epochs: all images of one share them
def _state(seed: int, epoch: int, stream: int) -> int:
    state = 0
    for key in (seed, epoch, stream):
        state = _mix(state ^ key % 2**64)
    return state


def _mix(z: _Words) -> _Words:
    z = (z + _WEYL) & _64_BITS  # arrays overflow by themselves, Python's integers do not
    z = ((z ^ (z >> 30)) * _FIRST) & _64_BITS
    z = ((z ^ (z >> 27)) * _SECOND) & _64_BITS
    mixed: _Words = (z ^ (z >> 31)) & _64_BITS
    return mixed
