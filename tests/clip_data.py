"""Video files, made with PyAV: good ones, and the corpus of bad ones. Clips in an array, to train on.

`python tests/clip_data.py DIR` writes the corpus.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from residua.data.images import ImageDataset, Images
from residua.data.video.clips import CLIP
from residua.spec.clip import Clip
from residua.spec.inflate import inflate
from residua.spec.recipe import Budget, Data, Recipe
from residua.tasks.video.data_task import ClipDataset
from small import PIXELS, arch
from small import recipe as of_images

Frames = Sequence[NDArray[np.uint8]]


def numbered(count: int, width: int = 64, height: int = 48, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Frames whose grey level is their number times 4, with a little noise."""
    noise = np.random.default_rng(seed).integers(0, 3, (height, width, 1))
    return [
        np.broadcast_to(np.uint8(8 + 4 * k) + noise, (height, width, 3)).astype(np.uint8)
        for k in range(count)
    ]


def write(
    file: Path,
    frames: Frames,
    *,
    codec: str = "libx264",
    rate: Fraction | int = 25,
    times: Sequence[int] | None = None,
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
) -> Path:
    """A clip of `frames`; `times` are theirs, in 1/1000 s, where they are not even."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(file), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], pixels
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        for k, pixels_ in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels_, format="rgb24")
            if times:
                frame.pts, frame.time_base = times[k], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file


def sound(file: Path) -> Path:
    """Half a second of silence, without a video stream."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        for k in range(4):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, 1024 * k
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file


def no_frames(file: Path) -> Path:
    """A video stream without frames."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    return file


def turned(file: Path, degrees: int) -> Path:
    """16 frames, 64 wide and 48 high, the upper half white, with a rotation of the player."""
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:24] = 255
    write(file, [frame] * 16)
    content = file.read_bytes()
    sine, cosine = {90: (1, 0), 180: (0, -1), 270: (-1, 0)}[degrees]
    matrix = np.array([cosine, sine, 0, -sine, cosine, 0, 0, 0, 16384]) * np.array([65536] * 8 + [65536])
    whole = np.array([65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30], ">i4").tobytes()
    matrix[8] = 1 << 30
    assert content.count(whole) == 2, "one in the film's header, one in the track's"
    at = content.rindex(whole)
    file.write_bytes(content[:at] + matrix.astype(">i4").tobytes() + content[at + 36 :])
    return file


def varying(file: Path) -> Path:
    """Six frames of 64 x 48, then six of 96 x 64, in one stream."""
    parts = []
    for number, (width, height) in enumerate(((64, 48), (96, 64))):
        part = file.with_name(f"part{number}.ts")
        write(part, numbered(6, width, height), codec="mpeg2video")
        parts.append(part.read_bytes())
        part.unlink()
    file.write_bytes(b"".join(parts))
    return file


def lying(file: Path) -> Path:
    """Sixteen frames whose header claims a hundred hours."""
    write(file, numbered(16))
    content = bytearray(file.read_bytes())
    for box, place in ((b"mvhd", 20), (b"tkhd", 24), (b"mdhd", 20)):
        at = content.index(box) + place
        content[at : at + 4] = (360_000_000).to_bytes(4, "big")
    file.write_bytes(bytes(content))
    return file


def corpus(folder: Path) -> dict[str, tuple[Path, str]]:
    """Every file by name, and a part of its error; empty where it can be read."""
    folder.mkdir(parents=True, exist_ok=True)
    good = write(folder / "good.mp4", numbered(16)).read_bytes()
    whole = write(folder / "whole.mkv", numbered(40, 320, 240, seed=1), options={"crf": "1"}).read_bytes()
    raw = {
        "empty.mp4": (b"", "is empty"),
        "text.mp4": (b"no clip at all\n" * 50, "no clip"),
        "truncated.mp4": (good[: len(good) // 2], "no clip"),
        "header.mp4": (good[:32], "no clip"),
        "cut.mkv": (whole[: len(whole) // 2], ""),
        "playlist.mp4": (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/hostname\n", "no clip"),
        "picture.mp4": (b"\x89PNG\r\n\x1a\n" + bytes(200), "no clip"),
    }
    files = {}
    for name, (content, message) in raw.items():
        (folder / name).write_bytes(content)
        files[name] = (folder / name, message)
    readable = {
        "good.mp4": folder / "good.mp4",
        "one-pixel.mkv": write(folder / "one-pixel.mkv", numbered(4, 1, 1), codec="ffv1", pixels="yuv444p"),
        "one-frame.mp4": write(folder / "one-frame.mp4", numbered(1)),
        "million.mkv": write(folder / "million.mkv", numbered(8), codec="mpeg4", rate=65535),
        "uneven.mkv": write(folder / "uneven.mkv", numbered(6), times=[0, 40, 50, 900, 910, 5000]),
        "varying.ts": varying(folder / "varying.ts"),
        "lying.mp4": lying(folder / "lying.mp4"),
    }
    files |= {name: (file, "") for name, file in readable.items()}
    files["sound.mp4"] = (sound(folder / "sound.mp4"), "nothing but sound")
    files["no-frames.avi"] = (no_frames(folder / "no-frames.avi"), "no frame")
    (folder / "whole.mkv").unlink()
    return files


CLASSES, FRAMES, SIDE = ("a", "b", "c"), 7, 14


def sets() -> ClipDataset:
    """14 clips to learn from and 21 to judge by."""
    clips = ImageDataset(
        "clips", _strips("train", 14), _strips("test", 21), grey=False, size=SIDE, note="clips"
    )
    return ClipDataset(clips, Data("clips"))


def recipe(batch: int = 5) -> Recipe:
    """Two epochs of clips of three frames."""
    base = of_images(budget=Budget(epochs=2, batch_size=batch, save_seconds=1000.0))
    return replace(base, arch=inflate(replace(arch(), preprocess=PIXELS), Clip(3, 2)))


def _strips(name: str, count: int) -> Images:
    """Clips brighter by class, each frame brighter than the last."""
    labels = np.arange(count) % 3
    noise = np.random.default_rng(count).normal(0, 20, (count, FRAMES, SIDE, SIDE, 3))
    levels = 60 + 50 * labels[:, None] + 4 * np.arange(FRAMES)
    frames = np.clip(levels[:, :, None, None, None] + noise, 0, 255).astype(np.uint8)
    strips = frames.reshape(count, FRAMES * SIDE, SIDE, 3)
    return Images(name, CLASSES, labels, pixels=strips, media_type=CLIP)


if __name__ == "__main__":
    for name_, (_, message_) in corpus(Path(sys.argv[1])).items():
        print(f"{name_}: {message_ or 'readable'}")
