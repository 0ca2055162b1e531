"""What PyAV makes of one file: facts and frames. It runs in the reader's process, which may die of it."""

import io
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from residua.data.video.scaling import ScaledFrames, Scaler, SizeRefused, check_size

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg"
"""FFmpeg's names of the containers that are read. It knows three hundred more, playlists of addresses among
them; each is another parser for a hostile file to aim at."""
MOST_FRAMES = 200_000
"""Longest clip: two hours at 25 frames a second. Our choice; what is longer is no clip."""

_AT_ONCE: Literal["NONREF"] = "NONREF"  # frames that no other needs: leaving them out changes no other bit

Choose = Callable[[int, int], Sequence[int]]
"""From the frames that a file has and the bytes of one, as handed over, to the numbers of those wanted, which
rise."""


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
    with _opened(source) as stream:
        index = _index(stream)
        first = next(_decoded(stream), None)
        if first is None:
            raise SizeRefused(_NO_FRAME)
        check_size(first.width, first.height)
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


def read(source: str | bytes, choose: Choose, scaled: ScaledFrames) -> NDArray[np.uint8]:
    """The frames that `choose` takes, counted from 0 as they are shown: (n, H, W, C) uint8.

    Only what those frames need is decoded: from the last key frame before them, without frames that no other
    refers to. Refused names the first frame that cannot be had.
    """
    with _opened(source, trusting=True) as stream:
        index, scaler = _index(stream), Scaler(stream.codec_context, scaled)
        numbers = choose(index.count, scaler.bytes)
        if numbers[-1] >= index.count:
            raise SizeRefused(f"has {index.count} frames, and frame {numbers[-1]} was asked for: it changed")
        taken = _Taken(numbers, scaler)
        _from_keys(stream, index, taken)
    if taken.missing:  # times or sizes that lie, or frames that hide: all in order, and count
        with _opened(source) as stream:
            taken = _Taken(numbers, Scaler(stream.codec_context, scaled))
            _in_order(stream, taken)
    assert taken.pixels is not None
    return taken.pixels


def count(source: str | bytes) -> int:
    """Frames that come out when all is decoded. Refused at the first error."""
    with _opened(source) as stream:
        found = 0
        for frame in _decoded(stream):
            _check_whole(frame, found)
            found += 1
        return found


class _Taken:
    """The frames that were asked for, as they come."""

    def __init__(self, numbers: Sequence[int], scaler: Scaler) -> None:
        """None of them is there yet."""
        self.places = {number: place for place, number in enumerate(numbers)}
        self.missing = set(numbers)
        self.scaler = scaler
        self.pixels: NDArray[np.uint8] | None = None

    def put(self, number: int, frame: av.VideoFrame) -> None:
        """Keep `frame` as that `number`, which is missing no more."""
        _check_whole(frame, number)
        pixels = self.scaler.pixels(frame)
        if self.pixels is None:
            self.pixels = np.empty((len(self.places), *pixels.shape), np.uint8)
        self.pixels[self.places[number]] = pixels
        self.missing.discard(number)


@contextmanager
def _opened(source: str | bytes, *, trusting: bool = False) -> Iterator[VideoStream]:
    """The stream of pictures.

    FFmpeg decodes the first frames to learn what they are, an eighth of the work on a short clip; `trusting`,
    an MP4 is believed until its frames turn out other than it says.
    """
    if (not source) if isinstance(source, bytes) else not Path(source).stat().st_size:
        raise SizeRefused("is empty: record it again, or remove it")
    try:
        with _open(source, {"skip_frame": "all"} if trusting and _is_mp4(source) else {}) as container:
            streams = [s for s in container.streams.video if not s.disposition & _COVER]
            if not streams:
                sound = " but sound" if container.streams.audio else ""
                raise SizeRefused(f"holds nothing{sound}: give clips with pictures")
            context = streams[0].codec_context
            context.thread_count = 1  # other clips have the other cores
            if not trusting:  # else frames are checked when they are there
                check_size(context.width, context.height)
            yield streams[0]
    except (av.error.MemoryError, MemoryError):
        raise SizeRefused("needs more memory than a clip may: scale it down") from None
    except (av.error.FFmpegError, ValueError, EOFError, IndexError) as error:
        raise SizeRefused(f"cannot be decoded ({_said(error)}): record it again, or remove it") from None


def _is_mp4(source: str | bytes) -> bool:
    if isinstance(source, bytes):
        return source[4:8] == b"ftyp"
    with Path(source).open("rb", buffering=0) as file:
        return file.read(8)[4:] == b"ftyp"


def _open(source: str | bytes, probing: dict[str, str]) -> InputContainer:
    """`source` after FFmpeg's first look at it, for which `probing` holds options."""
    place: Any = io.BytesIO(source) if isinstance(source, bytes) else f"file:{source}"
    options = {"format_whitelist": FORMATS}
    if isinstance(source, str):
        options["protocol_whitelist"] = "file"  # a file may not make us fetch another
    try:
        opened: InputContainer = av.open(
            place, options=probing, container_options=options, metadata_errors="replace"
        )
        return opened
    except av.error.MemoryError:
        raise
    except av.error.FFmpegError as error:
        raise SizeRefused(
            f"is no clip that can be read ({_said(error)}): convert it to MP4, or remove it"
        ) from None


_COVER = av.stream.Disposition.attached_pic  # that of a song is a stream of one frame
_NO_FRAME = "holds no frame that can be decoded: record it again, or remove it"


def _container(stream: VideoStream) -> InputContainer:
    """What `stream` is read from."""
    assert isinstance(stream.container, InputContainer)
    return stream.container


def _index(stream: VideoStream) -> _Index:
    times, keys, found = [], [], 0
    for packet in _container(stream).demux(stream):
        if not packet.size or packet.is_discard:  # what an edit list cuts off is never shown
            continue
        found += 1
        if found > MOST_FRAMES:
            raise SizeRefused(f"has more than {MOST_FRAMES:,} frames: cut it into clips")
        if packet.pts is not None:
            times.append(packet.pts)
            if packet.is_keyframe:
                keys.append(packet.pts)
    if not found:
        raise SizeRefused("holds no frame: record it again, or remove it")
    told = len(times) == len(set(times)) == found
    return _Index(sorted(times) if told else [], sorted(keys), found)


def _rate(index: _Index, unit: Fraction | None, told: Fraction | None) -> float:
    """Frames a second from the times of the frames; where they tell nothing, what the header says."""
    if len(index.times) > 1 and unit:
        return float((len(index.times) - 1) / ((index.times[-1] - index.times[0]) * unit))
    return float(told or 0)


def _from_keys(stream: VideoStream, index: _Index, taken: _Taken) -> None:
    """Put the frames that can be found by their times."""
    context = stream.codec_context
    for key, wanted in _legs(index, list(taken.places)):
        _container(stream).seek(key, stream=stream)
        for packet in _container(stream).demux(stream):
            context.skip_frame = "DEFAULT" if packet.pts in wanted or not packet.size else _AT_ONCE
            for frame in packet.decode():
                if frame.pts in wanted and (frame.width, frame.height) == taken.scaler.told:
                    taken.put(wanted.pop(frame.pts), frame)
            if not wanted:
                break
    context.skip_frame = "DEFAULT"


def _legs(index: _Index, numbers: list[int]) -> Iterator[tuple[int, dict[int, int]]]:
    """Where to begin, and what is wanted from there on: numbers of frames by their times.

    A new leg begins where all frames from one key frame to the next can be left out.
    """
    leg: dict[int, int] = {}
    begin = last = 0
    for time, number in ((index.times[number], number) for number in numbers if index.times):
        key = bisect_right(index.keys, time) - 1  # -1: before the first
        if leg and key > last + 1:
            yield begin, leg
            leg = {}
        if not leg:
            begin = index.keys[key] if key >= 0 else index.times[0]
        leg[time], last = number, key
    if leg:
        yield begin, leg


def _in_order(stream: VideoStream, taken: _Taken) -> None:
    """Put the frames by counting; where fewer come out than packets went in, the last one stays."""
    last = None
    for number, last in enumerate(_decoded(stream)):
        if number in taken.missing:
            taken.put(number, last)
        if not taken.missing:
            return
    if last is None:
        raise SizeRefused(_NO_FRAME)
    for number in sorted(taken.missing):
        taken.put(number, last)


def _decoded(stream: VideoStream) -> Iterator[av.VideoFrame]:
    """All frames from the first."""
    _container(stream).seek(0)
    yield from _container(stream).decode(stream)


def _check_whole(frame: av.VideoFrame, number: int) -> None:
    """Refused when the decoder had to guess a part of `frame`."""
    if frame.is_corrupt:
        raise SizeRefused(f"is damaged at frame {number}: record it again, or remove it")


def _said(error: BaseException) -> str:
    """What a decoder says, on one line, without the path, which stands before it."""
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).split())[:200] or type(error).__name__
