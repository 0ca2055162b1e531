"""Arch for images -> Arch for clips, and back: windows get a length and a pace in time."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from residua.errors import ConfigError
from residua.spec.arch import Arch
from residua.spec.block import Block, Conv, Fork, Pool
from residua.spec.clip import MAX_FRAMES, Clip
from residua.spec.record import check_range
from residua.spec.word import POOLS

TIME = 3
"""Frames of a window (R3D, Tran et al. 2018)."""


def inflate(arch: Arch, clip: Clip, *, halves: bool = True) -> Arch:
    """A network for clips: windows of several pixels also span 3 frames.

    Args:
        arch: A network for images.
        clip: The frames to read; one frame per segment changes no window.
        halves: Whether stages after the first that halve the map also halve the clip, as in R3D (Tran et al.
            2018). The stem never does.

    Raises:
        ConfigError: `arch` reads several frames already, or has no convolutions.
    """
    if arch.has_time:
        raise ConfigError(f"{arch.name} reads several frames together already: change its clip instead")
    if clip.frames == 1:
        return replace(arch, clip=clip)
    if arch.is_flat:
        raise ConfigError(f"{arch.name} has no windows to inflate: choose a convolutional network")
    stages = []
    for number, stage in enumerate(arch.stages):
        change = partial(_longer, halves=halves and number > 0)
        stages.append(tuple(_each_way(block, change) for block in stage))
    return replace(arch, clip=clip, stem=_longer(arch.stem, halves=False), stages=tuple(stages))


def for_images(arch: Arch) -> Arch:
    """The network for images of which `arch` is the inflated one: no window has a length in time."""
    stages = tuple(tuple(_each_way(block, _shorter) for block in stage) for stage in arch.stages)
    return replace(arch, clip=None, stem=_shorter(arch.stem), stages=stages)


def with_clip(arch: Arch, clip: Clip) -> Arch:
    """`arch` for other frames; a network for images is inflated if the clip has several frames together.

    Raises:
        ConfigError: `arch` reads several frames together and `clip` has one.
    """
    return replace(arch, clip=clip) if arch.has_time else inflate(arch, clip)


def with_frames(arch: Arch, frames: int) -> Arch:
    """`arch` that reads `frames` of each segment together; see `with_clip`. ConfigError for less than one."""
    check_range("frames", frames, 1, MAX_FRAMES)
    return with_clip(arch, replace(arch.clip or Clip(), frames=frames))


def with_frame_stride(arch: Arch, stride: int) -> Arch:
    """`arch` with frames that are `stride` frames of the video apart.

    Raises:
        ConfigError: `arch` reads images, or `stride` is out of range.
    """
    check_range("frame_stride", stride, 0, MAX_FRAMES, zero="spread evenly")
    if arch.clip is None:
        raise ConfigError(
            f"{arch.name} reads images, which have no frame stride: give frames or segments too"
        )
    return replace(arch, clip=replace(arch.clip, stride=stride))


def with_segments(arch: Arch, segments: int) -> Arch:
    """`arch` on `segments` parts of a video, whose logits are averaged (Wang et al. 2016).

    Raises:
        ConfigError: `segments` is out of range.
    """
    check_range("segments", segments, 1, MAX_FRAMES)
    return replace(arch, clip=replace(arch.clip or Clip(frames=1, stride=1), segments=segments))


def _each_way(block: Block | Fork, change: Callable[[Block], Block]) -> Block | Fork:
    if isinstance(block, Fork):
        return replace(block, branches=tuple(map(change, block.branches)))
    return change(block)


def _longer(block: Block, *, halves: bool) -> Block:
    convs = tuple(_conv(conv, halves=halves) for conv in block.convs)
    pools = set(POOLS) & set(block.word + block.shortcut)
    return replace(block, convs=convs, pool=_pool(block.pool, pools, halves=halves) if pools else block.pool)


def _conv(conv: Conv, *, halves: bool) -> Conv:
    return replace(conv, time=TIME if conv.kernel > 1 else 1, pace=conv.stride if halves else 1)


def _pool(pool: Pool, letters: set[str], *, halves: bool) -> Pool:
    """The pool in time. An even window halves. A maximum ignores its border; an average would not."""
    pace = pool.stride if halves else 1
    even, largest = pool.kernel % 2 == 0 and pace == pool.kernel, pool.kernel % 2 == 1 and letters == {"P"}
    time = pool.kernel if even else TIME if largest and pool.kernel > 1 else 1
    return replace(pool, time=time, pace=pace)


def _shorter(block: Block) -> Block:
    convs = tuple(replace(conv, time=1, pace=1) for conv in block.convs)
    return replace(block, convs=convs, pool=replace(block.pool, time=1, pace=1))
