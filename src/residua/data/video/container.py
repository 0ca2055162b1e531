"""One clip file as PyAV reads it: its properties and its frames. Runs in the reader's process only, where it
may crash.

Frames are numbered from 0 in the order in which they are shown. The number comes from the packets of the
file; the frame count and duration of the header are ignored, because headers lie.
"""

import io
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Protocol

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from residua.data.video.messages import ChooseFrames, FrameFormat, UnreadableClip
from residua.data.video.scaling import Scaler, check_size

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg"
"""FFmpeg's names of the containers that are read. FFmpeg knows three hundred more, among them playlists of
addresses; each is another parser that a hostile file can attack."""
MAX_FRAMES = 200_000
"""Longest clip: two hours at 25 frames a second. Our choice."""

_NONREF: Literal["NONREF"] = "NONREF"  # skips frames that no other frame needs, which changes no other pixel
_COVER = av.stream.Disposition.attached_pic  # the cover of a song is a stream of one frame
_ANY_TAGS: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}
"""With these arguments tags that are not UTF-8 are no error, which they never are from PyAV 19 on."""
_NO_FRAME = "holds no frame that can be decoded: record it again, or remove it"


@dataclass(frozen=True, slots=True)
class _PacketIndex:
    """Times of the frames of a stream, from its packets."""

    times: list[int]
    """Presentation times in ascending order, in units of the stream; empty where packets have none or repeat
    them."""
    key_times: list[int]
    """Times of key frames, which can be decoded without another frame."""
    count: int
    """Number of packets, and so of frames."""


def probe(source: str | bytes) -> dict[str, Any]:
    """Describe a clip; its first frame is decoded.

    Args:
        source: Path or content of the clip.

    Returns:
        The fields of `reader.ClipInfo`.

    Raises:
        UnreadableClip: The file is no clip, or its first frame cannot be decoded.
    """
    with _open_stream(source) as stream:
        index = _index_packets(stream)
        first = next(_decode_all(stream), None)
        if first is None:
            raise UnreadableClip(_NO_FRAME)
        check_size(first.width, first.height)
        width, height = first.width, first.height
        if first.rotation % 180:
            width, height = height, width
        return {
            "width": width,
            "height": height,
            "frames": index.count,
            "fps": _frame_rate(index, stream.time_base, stream.average_rate),
            "codec": stream.codec_context.name,
            "pixel_format": stream.codec_context.pix_fmt or "",
            "rotation": first.rotation,
        }


def read_frames(source: str | bytes, choose: ChooseFrames, frame_format: FrameFormat) -> NDArray[np.uint8]:
    """Decode some frames of a clip.

    Decodes only what those frames need: from the last key frame before them, without frames that no other
    refers to.

    Args:
        source: Path or content of the clip.
        choose: Called once with the number of frames and the bytes of one; returns ascending frame numbers.
        frame_format: Size and colour of the result.

    Returns:
        The chosen frames (n, H, W, C) uint8.

    Raises:
        UnreadableClip: The file is no clip, or a chosen frame cannot be decoded; the message names it.
    """
    with _open_stream(source, trust_header=True) as stream:
        index, scaler = _index_packets(stream), Scaler(stream.codec_context, frame_format)
        numbers = choose(index.count, scaler.frame_bytes)
        if numbers[-1] >= index.count:
            raise UnreadableClip(
                f"has {index.count} frames, and frame {numbers[-1]} was asked for: it changed"
            )
        frames = _FrameBuffer(numbers, scaler)
        _decode_from_key_frames(stream, index, frames)
    if frames.missing:  # times or sizes are wrong, or frames are hidden: decode all of them in order
        with _open_stream(source) as stream:
            frames = _FrameBuffer(numbers, Scaler(stream.codec_context, frame_format))
            _decode_in_order(stream, frames)
    assert frames.pixels is not None
    return frames.pixels


def count_frames(source: str | bytes) -> int:
    """Decode all of a clip and count the frames. Raises UnreadableClip at the first that is damaged."""
    with _open_stream(source) as stream:
        count = 0
        for frame in _decode_all(stream):
            _check_intact(frame, count)
            count += 1
        return count


class _FrameBuffer:
    """The requested frames, filled while they are decoded."""

    def __init__(self, numbers: Sequence[int], scaler: Scaler) -> None:
        self.rows = {number: row for row, number in enumerate(numbers)}
        self.missing = set(numbers)
        self.scaler = scaler
        self.pixels: NDArray[np.uint8] | None = None

    def put(self, number: int, frame: av.VideoFrame) -> None:
        """Store `frame` as frame `number`."""
        _check_intact(frame, number)
        pixels = self.scaler.pixels(frame)
        if self.pixels is None:
            self.pixels = np.empty((len(self.rows), *pixels.shape), np.uint8)
        self.pixels[self.rows[number]] = pixels
        self.missing.discard(number)


@contextmanager
def _open_stream(source: str | bytes, *, trust_header: bool = False) -> Iterator[VideoStream]:
    """The video stream of a clip.

    FFmpeg decodes the first frames of a file to learn their format, an eighth of the work on a short clip.
    With `trust_header` it skips that for MP4, whose header has the format; `read_frames` starts again if a
    frame differs.
    """
    if (not source) if isinstance(source, bytes) else not Path(source).stat().st_size:
        raise UnreadableClip("is empty: record it again, or remove it")
    try:
        with _open(source, {"skip_frame": "all"} if trust_header and _is_mp4(source) else {}) as container:
            streams = [s for s in container.streams.video if not s.disposition & _COVER]
            if not streams:
                sound = " but sound" if container.streams.audio else ""
                raise UnreadableClip(f"holds nothing{sound}: give clips with pictures")
            context = streams[0].codec_context
            context.thread_count = 1  # the other cores decode other clips
            if not trust_header:  # else the size is checked frame by frame
                check_size(context.width, context.height)
            yield streams[0]
    except (av.error.MemoryError, MemoryError):
        raise UnreadableClip("needs more memory than a clip may: scale it down") from None
    except (av.error.FFmpegError, ValueError, EOFError, IndexError) as error:
        raise UnreadableClip(
            f"cannot be decoded ({_message(error)}): record it again, or remove it"
        ) from None


def _is_mp4(source: str | bytes) -> bool:
    if isinstance(source, bytes):
        return source[4:8] == b"ftyp"
    with Path(source).open("rb", buffering=0) as file:
        return file.read(8)[4:] == b"ftyp"


def _open(source: str | bytes, codec_options: dict[str, str]) -> InputContainer:
    """Open a clip; `codec_options` are for the frames that FFmpeg decodes to learn the format."""
    file: Any = io.BytesIO(source) if isinstance(source, bytes) else f"file:{source}"
    options = {"format_whitelist": FORMATS}
    if isinstance(source, str):
        options["protocol_whitelist"] = "file"  # a clip must not make FFmpeg open an address
    try:
        container: InputContainer = av.open(
            file, options=codec_options, container_options=options, **_ANY_TAGS
        )
        return container
    except av.error.MemoryError:
        raise
    except av.error.FFmpegError as error:
        raise UnreadableClip(
            f"is no clip that can be read ({_message(error)}): convert it to MP4, or remove it"
        ) from None


def _container(stream: VideoStream) -> InputContainer:
    """The container of `stream`, with its type narrowed."""
    assert isinstance(stream.container, InputContainer)
    return stream.container


def _index_packets(stream: VideoStream) -> _PacketIndex:
    """Read all packets, without decoding them."""
    times, key_times, count = [], [], 0
    for packet in _container(stream).demux(stream):
        if not packet.size or packet.is_discard:  # frames that an edit list cuts off are never shown
            continue
        count += 1
        if count > MAX_FRAMES:
            raise UnreadableClip(f"has more than {MAX_FRAMES:,} frames: cut it into clips")
        if packet.pts is not None:
            times.append(packet.pts)
            if packet.is_keyframe:
                key_times.append(packet.pts)
    if not count:
        raise UnreadableClip("holds no frame: record it again, or remove it")
    is_complete = len(times) == len(set(times)) == count
    return _PacketIndex(sorted(times) if is_complete else [], sorted(key_times), count)


class _Rational(Protocol):
    """A ratio of the package av: a `Fraction` before version 19, then a class of its own."""

    @property
    def numerator(self) -> int: ...
    @property
    def denominator(self) -> int: ...
    def __float__(self) -> float: ...


def _frame_rate(index: _PacketIndex, unit: _Rational | None, declared: _Rational | None) -> float:
    """Frames a second from the times of the frames, or from the header where packets have no times."""
    if len(index.times) > 1 and unit:
        seconds = (index.times[-1] - index.times[0]) * Fraction(unit.numerator, unit.denominator)
        return float((len(index.times) - 1) / seconds)
    return float(declared or 0)


def _decode_from_key_frames(stream: VideoStream, index: _PacketIndex, frames: _FrameBuffer) -> None:
    """Store the frames that can be identified by their times."""
    context = stream.codec_context
    for key_time, numbers_by_time in _seek_ranges(index, list(frames.rows)):
        _container(stream).seek(key_time, stream=stream)
        for packet in _container(stream).demux(stream):
            context.skip_frame = "DEFAULT" if packet.pts in numbers_by_time or not packet.size else _NONREF
            for frame in packet.decode():
                if (
                    frame.pts in numbers_by_time
                    and (frame.width, frame.height) == frames.scaler.declared_size
                ):
                    frames.put(numbers_by_time.pop(frame.pts), frame)
            if not numbers_by_time:
                break
    context.skip_frame = "DEFAULT"


def _seek_ranges(index: _PacketIndex, numbers: list[int]) -> Iterator[tuple[int, dict[int, int]]]:
    """Time to seek to, and the frame numbers to decode from there by their times.

    A new range begins where all frames between two key frames can be skipped.
    """
    numbers_by_time: dict[int, int] = {}
    begin = last_key = 0
    for time, number in ((index.times[number], number) for number in numbers if index.times):
        key = bisect_right(index.key_times, time) - 1  # -1: before the first key frame
        if numbers_by_time and key > last_key + 1:
            yield begin, numbers_by_time
            numbers_by_time = {}
        if not numbers_by_time:
            begin = index.key_times[key] if key >= 0 else index.times[0]
        numbers_by_time[time], last_key = number, key
    if numbers_by_time:
        yield begin, numbers_by_time


def _decode_in_order(stream: VideoStream, frames: _FrameBuffer) -> None:
    """Store the frames by counting. Where fewer come out than packets went in, the last frame repeats."""
    last = None
    for number, last in enumerate(_decode_all(stream)):
        if number in frames.missing:
            frames.put(number, last)
        if not frames.missing:
            return
    if last is None:
        raise UnreadableClip(_NO_FRAME)
    for number in sorted(frames.missing):
        frames.put(number, last)


def _decode_all(stream: VideoStream) -> Iterator[av.VideoFrame]:
    """All frames, from the first."""
    _container(stream).seek(0)
    yield from _container(stream).decode(stream)


def _check_intact(frame: av.VideoFrame, number: int) -> None:
    """Raise UnreadableClip when the decoder had to guess a part of `frame`."""
    if frame.is_corrupt:
        raise UnreadableClip(f"is damaged at frame {number}: record it again, or remove it")


def _message(error: BaseException) -> str:
    """A decoder's error on one line, without the path, which comes first in our message."""
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).split())[:200] or type(error).__name__
