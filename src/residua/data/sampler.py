"""Order and chance as pure functions of their keys: no state to save, nothing that workers could disturb."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_ORDER = 0  # the stream of the order; `residua.data.views` numbers its own from 1
_WEYL = np.uint64(0x9E3779B97F4A7C15)  # the three constants of splitmix64 (Steele et al. 2014, fig. 17)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def draws(seed: int, epoch: int, indices: NDArray[np.int64], stream: int) -> NDArray[np.float64]:
    """Numbers in [0, 1), one for each index, that depend on (seed, epoch, index, stream) and nothing else."""
    upper_bits = _hash(seed, epoch, indices, stream) >> np.uint64(11)
    return upper_bits.astype(np.float64) * 2.0**-53  # a float64 holds 53 bits


def order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The order in which an epoch visits `count` images: a read-only permutation (count,)."""
    return _order(seed, epoch, count)


def steps_per_epoch(count: int, batch: int) -> int:
    """Batches in one epoch: the last, incomplete one is left out, unless it is the only one."""
    return max(1, count // batch)


def share(
    seed: int, step: int, *, count: int, batch: int, rank: int = 0, world: int = 1
) -> tuple[int, NDArray[np.int64]]:
    """The epoch of global step `step` (from 0), and the images that `rank` of `world` takes of its batch.

    All ranks together take the same batch at any `world`; a set smaller than `batch` is one smaller batch.
    """
    epoch, place = divmod(step, steps_per_epoch(count, batch))
    return epoch, order(seed, epoch, count)[place * batch : (place + 1) * batch][rank::world]


@lru_cache(maxsize=4)  # one sort an epoch instead of one a step
def _order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    permutation = np.argsort(_hash(seed, epoch, np.arange(count), _ORDER), kind="stable").astype(np.int64)
    permutation.flags.writeable = False
    return permutation


def _hash(seed: int, epoch: int, indices: NDArray[np.int64], stream: int) -> NDArray[np.uint64]:
    # numpy's own generators are not used: their streams may change from one version to the next
    state = np.zeros(1, np.uint64)
    for key in (seed, epoch, stream):
        state = _mix(state ^ np.uint64(key % 2**64))
    return _mix(state ^ np.asarray(indices).astype(np.uint64))


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = z + _WEYL
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    mixed: NDArray[np.uint64] = z ^ (z >> np.uint64(31))
    return mixed
