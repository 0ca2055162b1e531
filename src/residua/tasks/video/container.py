"""What PyAV makes of one file: facts and frames. It runs in the reader's process, which may die of it."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg"
"""FFmpeg's names of the containers that are read. It knows three hundred more, playlists of addresses among
them; each is another parser for a hostile file to aim at."""
MOST_PIXELS = 25_000_000
"""Largest frame that is decoded: as for images."""
MOST_FRAMES = 200_000
"""Longest clip: two hours at 25 frames a second. Our choice; what is longer is no clip."""
LONGEST = 20
"""Times the shorter side that a frame may be long. Our choice: a line of pixels would be scaled to a wall."""

_KINDS = {"bilinear": Interpolation.BILINEAR, "bicubic": Interpolation.BICUBIC}
_LAYOUTS = {"rgb": ("rgb24", 3), "grey": ("gray", 1)}
_AT_ONCE: Literal["NONREF"] = "NONREF"  # frames that no other needs: leaving them out changes no other bit


class Refused(Exception):
    """A file that is no clip: what it is instead and what to do, to stand after its name."""


@dataclass(frozen=True, slots=True)
class Scaled:
    """How frames are handed over."""

    short: int
    """Shorter side in pixels; 0 leaves the size."""
    colour: str
    """`rgb` or `grey`."""
    interpolation: str
    """`bilinear` or `bicubic`."""


@dataclass(frozen=True, slots=True)
class _Target:
    """What every frame of a stream becomes, whatever size it has."""

    width: int
    height: int
    layout: str
    channels: int
    interpolation: Interpolation

    @classmethod
    def of(cls, container: InputContainer, scaled: Scaled) -> "_Target":
        context = container.streams.video[0].codec_context
        width, height = _size(context.width, context.height, scaled.short)
        layout, channels = _LAYOUTS[scaled.colour]
        return cls(width, height, layout, channels, _KINDS[scaled.interpolation])


@dataclass(frozen=True, slots=True)
class _Index:
    """When the frames of a stream are shown, as its packets tell."""

    times: list[int]
    """Presentation times in the order of presentation, in units of the stream; empty where they tell none."""
    keys: list[int]
    """Those of frames that need no other."""
    count: int
    """Packets, and so frames."""


def look(source: str | bytes) -> dict[str, Any]:
    """Width and height as shown, frames, rate and what the file is made of. Refused when it is no clip.

    Frames are counted, never believed; the first is decoded.
    """
    with _opened(source) as container:
        stream = container.streams.video[0]
        index = _index(container)
        container.seek(0)
        first = next(container.decode(stream), None)
        if first is None:
            raise Refused("holds no frame that can be decoded: record it again, or remove it")
        _check_size(first.width, first.height)
        width, height = first.width, first.height
        if first.rotation % 180:
            width, height = height, width
        return {
            "width": width,
            "height": height,
            "frames": index.count,
            "rate": _rate(index, stream.time_base, stream.average_rate),
            "codec": stream.codec_context.name,
            "pixels": stream.codec_context.pix_fmt or "",
            "rotation": first.rotation,
        }


def frames_of(source: str | bytes) -> int:
    """Frames that a file holds, counted by its packets. Refused when it is no clip."""
    with _opened(source) as container:
        return _index(container).count


def read(source: str | bytes, numbers: Sequence[int], scaled: Scaled) -> NDArray[np.uint8]:
    """The frames at `numbers`, which rise, counted from 0 as they are shown: (n, H, W, C) uint8.

    Only what those frames need is decoded: from the last key frame before the first of them, without frames
    that no other refers to. Refused names the first frame that cannot be had.
    """
    with _opened(source) as container:
        index = _index(container)
        if numbers[-1] >= index.count:
            raise Refused(f"has {index.count} frames, and frame {numbers[-1]} was asked for: it changed")
        target = _Target.of(container, scaled)
        found = _from_key(container, index, numbers, target)
        if len(found) < len(numbers):  # times that lie, or frames that hide: all in order, and count
            container.seek(0)
            found = _in_order(container, numbers, target)
        return np.stack([found[number] for number in numbers])


def count(source: str | bytes) -> int:
    """Frames that come out when all is decoded. Refused at the first error."""
    with _opened(source) as container:
        return sum(not _is_damaged(frame, number) for number, frame in enumerate(_decoded(container)))


@contextmanager
def _opened(source: str | bytes) -> Iterator[InputContainer]:
    if (not source) if isinstance(source, bytes) else not Path(source).stat().st_size:
        raise Refused("is empty: record it again, or remove it")
    try:
        with _open(source) as container:
            streams = [s for s in container.streams.video if not s.disposition & _PICTURE]
            if not streams:
                sound = " but sound" if container.streams.audio else ""
                raise Refused(f"holds nothing{sound}: give clips with pictures")
            context = streams[0].codec_context
            context.thread_count = 1  # other clips have the other cores
            _check_size(context.width, context.height)
            yield container
    except (av.error.MemoryError, MemoryError):
        raise Refused("needs more memory than a clip may: scale it down") from None
    except (av.error.FFmpegError, ValueError, EOFError, IndexError) as error:
        raise Refused(f"cannot be decoded ({_said(error)}): record it again, or remove it") from None


def _open(source: str | bytes) -> InputContainer:
    place: Any = io.BytesIO(source) if isinstance(source, bytes) else f"file:{source}"
    options = {"format_whitelist": FORMATS}
    if isinstance(source, str):
        options["protocol_whitelist"] = "file"  # a file may not make us fetch another
    try:
        opened: InputContainer = av.open(place, container_options=options, metadata_errors="replace")
        return opened
    except av.error.MemoryError:
        raise
    except av.error.FFmpegError as error:
        raise Refused(
            f"is no clip that can be read ({_said(error)}): convert it to MP4, or remove it"
        ) from None


_PICTURE = av.stream.Disposition.attached_pic  # the cover of a song is a stream of one frame


def _check_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise Refused(f"claims frames of {width} x {height} pixels: give at most {MOST_PIXELS:,}")
    if max(width, height) > LONGEST * max(1, min(width, height)):
        raise Refused(f"has frames of {width} x {height} pixels: give sides of at most 1 to {LONGEST}")


def _index(container: InputContainer) -> _Index:
    times, keys, found = [], [], 0
    for packet in container.demux(container.streams.video[0]):
        if not packet.size or packet.is_discard:  # what an edit list cuts off is never shown
            continue
        found += 1
        if found > MOST_FRAMES:
            raise Refused(f"has more than {MOST_FRAMES:,} frames: cut it into clips")
        if packet.pts is not None:
            times.append(packet.pts)
            if packet.is_keyframe:
                keys.append(packet.pts)
    if not found:
        raise Refused("holds no frame: record it again, or remove it")
    told = len(times) == len(set(times)) == found
    return _Index(sorted(times) if told else [], sorted(keys), found)


def _rate(index: _Index, unit: Fraction | None, told: Fraction | None) -> float:
    """Frames a second from the times of the frames; where they tell nothing, what the header says."""
    if len(index.times) > 1 and unit:
        return float((len(index.times) - 1) / ((index.times[-1] - index.times[0]) * unit))
    return float(told or 0)


def _from_key(
    container: InputContainer, index: _Index, numbers: Sequence[int], target: _Target
) -> dict[int, NDArray[np.uint8]]:
    """The frames that could be found by their times."""
    if not index.times:
        return {}
    stream = container.streams.video[0]
    wanted = {index.times[number]: number for number in numbers}
    first = index.times[numbers[0]]
    key = max((time for time in index.keys if time <= first), default=index.times[0])
    container.seek(key, stream=stream)
    found: dict[int, NDArray[np.uint8]] = {}
    context = stream.codec_context
    for packet in container.demux(stream):
        context.skip_frame = "DEFAULT" if packet.pts in wanted or not packet.size else _AT_ONCE
        for frame in packet.decode():
            number = wanted.get(frame.pts)  # type: ignore[arg-type]
            if number is not None and not _is_damaged(frame, number):
                found[number] = _pixels(frame, target)
        if len(found) == len(numbers):
            break
    context.skip_frame = "DEFAULT"
    return found


def _in_order(
    container: InputContainer, numbers: Sequence[int], target: _Target
) -> dict[int, NDArray[np.uint8]]:
    """The frames by counting; where fewer come out than packets went in, the last one stays."""
    wanted, found = set(numbers), {}
    last = None
    for number, last in enumerate(_decoded(container)):
        if number in wanted and not _is_damaged(last, number):
            found[number] = _pixels(last, target)
        if len(found) == len(wanted):
            break
    if last is None:
        raise Refused("holds no frame that can be decoded: record it again, or remove it")
    return {number: found[number] if number in found else _pixels(last, target) for number in numbers}


def _decoded(container: InputContainer) -> Iterator[av.VideoFrame]:
    yield from container.decode(container.streams.video[0])


def _is_damaged(frame: av.VideoFrame, number: int) -> bool:
    """Never: Refused when the decoder had to guess a part of `frame`."""
    if frame.is_corrupt:
        raise Refused(f"is damaged at frame {number}: record it again, or remove it")
    return False


def _pixels(frame: av.VideoFrame, target: _Target) -> NDArray[np.uint8]:
    """`frame` scaled, then turned upright: (H, W, C)."""
    _check_size(frame.width, frame.height)
    small = frame.reformat(target.width, target.height, target.layout, interpolation=target.interpolation)
    pixels = small.to_ndarray().reshape(target.height, target.width, target.channels)
    turned: NDArray[np.uint8] = np.rot90(pixels, frame.rotation // 90)
    return turned


def _size(width: int, height: int, short: int) -> tuple[int, int]:
    """The size whose shorter side is `short`."""
    if not short:
        return width, height
    scale = short / min(width, height)
    return max(short, round(width * scale)), max(short, round(height * scale))


def _said(error: BaseException) -> str:
    """What a decoder says, on one line, without the path, which stands before it."""
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).split())[:200] or type(error).__name__
