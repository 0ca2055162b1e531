"""Decoding clips: the right frames, a named error for every kind of bad file, and no hang."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import Interpolation

import clip_data
from residua.data.video import clips, container, reader
from residua.data.video.messages import FrameFormat, Request
from residua.data.video.reader import ClipReader
from residua.errors import DataError

FULL = Interpolation.BILINEAR | Interpolation.FULL_CHR_H_INT
"""As swscale makes RGB with a colour for every pixel, not one for two."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    return clip_data.corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def impatient() -> Iterator[ClipReader]:
    clip_reader = ClipReader(seconds=1.0)
    yield clip_reader
    clip_reader.stop()


def in_order(file: Path, *, size: tuple[int, int]) -> np.ndarray:
    """All frames as a plain loop decodes them: what seeking and skipping must not change."""
    with av.open(str(file)) as container:
        frames = [frame.reformat(*size, "rgb24", interpolation=FULL) for frame in container.decode(video=0)]
        return np.stack([frame.to_ndarray() for frame in frames])


@pytest.mark.parametrize("gop", ["5", "250"])
def test_any_frames_equal_those_of_a_plain_loop(tmp_path: Path, gop: str) -> None:
    draw = np.random.default_rng(0)
    frames = np.cumsum(draw.integers(0, 9, (40, 48, 64, 3)), 0).astype(
        np.uint8
    )  # all frames depend on others
    options = {"g": gop, "keyint_min": gop, "bf": "3", "sc_threshold": "0"}
    file = clip_data.write(tmp_path / "a.mp4", list(frames), options=options)
    expected = in_order(file, size=(32, 24))
    for numbers in ([0], [39], [7, 8, 9], list(range(3, 40, 4)), [38, 2, 2, 21]):
        frames_read = reader.read_frames(file, numbers, FrameFormat(24))
        assert np.array_equal(frames_read, expected[numbers]), numbers


@pytest.mark.parametrize(
    ("codec", "pixels"),
    [
        ("libx264", "yuv420p"),
        ("libx264", "yuv444p"),
        ("libx264", "yuv420p10le"),
        ("mjpeg", "yuvj422p"),
        ("ffv1", "gray"),
        ("ffv1", "bgr0"),
    ],
)
@pytest.mark.parametrize("short", [24, 25, 48])
def test_every_pixel_has_a_colour_of_its_own(tmp_path: Path, codec: str, pixels: str, short: int) -> None:
    draw = np.random.default_rng(0)
    frames = list(draw.integers(0, 256, (4, 48, 64, 3), dtype=np.uint8))
    file = clip_data.write(tmp_path / "a.mkv", frames, codec=codec, pixels=pixels)
    expected = in_order(file, size=(round(64 * short / 48), short))
    frames_read = reader.read_frames(file, range(4), FrameFormat(short))
    assert np.abs(frames_read.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("size", [(32, 32), (0, 48), (640, 480)])
def test_a_wrong_size_in_the_header_changes_no_pixel(tmp_path: Path, size: tuple[int, int]) -> None:
    file = clip_data.write(tmp_path / "a.mp4", clip_data.numbered(12), options={"bf": "2"})
    expected = reader.read_frames(file, [3, 9], FrameFormat(24))
    content = file.read_bytes()
    place = content.index(b"avc1", content.index(b"stsd")) + 28
    sizes = b"".join(side.to_bytes(2, "big") for side in size)
    file.write_bytes(content[:place] + sizes + content[place + 4 :])
    assert np.array_equal(reader.read_frames(file, [3, 9], FrameFormat(24)), expected)


def test_frames_between_distant_frames_are_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(0)
    frames = list(draw.integers(0, 256, (60, 48, 64, 3), dtype=np.uint8))
    options = {"g": "5", "keyint_min": "5", "bf": "2", "sc_threshold": "0"}
    file = clip_data.write(tmp_path / "a.mp4", frames, options=options)
    seek_times: list[int] = []
    ranges = container._seek_ranges
    monkeypatch.setattr(
        container,
        "_seek_ranges",
        lambda *arguments: [seek_times.append(r[0]) or r for r in ranges(*arguments)],
    )
    numbers = [2, 6, 31, 32, 59]
    frames_read = container.read_frames(str(file), lambda _count, _bytes: numbers, FrameFormat(24))
    assert np.array_equal(frames_read, in_order(file, size=(32, 24))[numbers])
    assert len(seek_times) == 3, "2 and 6 lie in neighbours, 31 and 32 in one stretch, 59 alone"


def test_an_interrupted_request_leaves_no_answer_behind(tmp_path: Path) -> None:
    file = clip_data.write(tmp_path / "a.mp4", clip_data.numbered(8))

    def stopped(_count: int, _bytes: int) -> list[int]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reader.read_chosen_frames(file, stopped, FrameFormat(24))
    assert reader.probe(file).frames == 8


def test_the_choice_of_frames_gets_their_number_and_size(tmp_path: Path) -> None:
    file = clip_data.write(tmp_path / "a.mp4", clip_data.numbered(8))
    calls: list[tuple[int, int]] = []
    frames_read = reader.read_chosen_frames(
        file, lambda *arguments: calls.append(arguments) or [7, 0, 7], FrameFormat(24)
    )
    assert calls == [(8, 24 * 32 * 3)]
    assert np.array_equal(frames_read, reader.read_frames(file, [7, 0, 7], FrameFormat(24)))
    assert frames_read.flags.writeable


def test_every_file_of_the_corpus_is_a_clip_or_refused_in_one_line(
    corpus: dict[str, tuple[Path, str]],
) -> None:
    for name, (file, says) in corpus.items():
        if not says:
            facts = reader.probe(file)
            assert reader.read_frames(file, [0, facts.frames - 1], FrameFormat(8)).shape[0] == 2, name
            assert clips.decode_with_header(file)[1].mode == "RGB", name
            continue
        with pytest.raises(DataError, match=says) as refused:
            reader.probe(file)
        assert str(file) in str(refused.value), name
        assert "\n" not in str(refused.value), name


def test_frames_are_counted_and_the_header_is_ignored(corpus: dict[str, tuple[Path, str]]) -> None:
    facts = {name: reader.probe(file) for name, (file, says) in corpus.items() if not says}
    assert facts["lying.mp4"].frames == facts["good.mp4"].frames == 16
    assert facts["lying.mp4"].fps == facts["good.mp4"].fps == 25
    assert facts["uneven.mkv"].frames == 6
    assert facts["uneven.mkv"].fps == pytest.approx(1.0, rel=0.01)
    assert facts["million.mkv"].frames == 8
    assert 1 < facts["cut.mkv"].frames < 40


def test_frames_of_two_sizes_in_one_stream_are_scaled_to_one(corpus: dict[str, tuple[Path, str]]) -> None:
    file, _ = corpus["varying.ts"]
    frames_read = reader.read_chosen_frames(file, lambda count, _bytes: range(count), FrameFormat(24))
    assert frames_read.shape[1:] == (24, 32, 3) if frames_read.ndim == 4 else False


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_rotated_clip_is_shown_upright(tmp_path: Path, degrees: int) -> None:
    file = clip_data.turned(tmp_path / "turned.mp4", degrees)
    frame = reader.read_frames(file, [3], FrameFormat())[0]
    upright = np.zeros((48, 64), bool)
    upright[:24] = True
    expected = np.rot90(upright, -degrees // 90)
    assert frame.shape[:2] == expected.shape
    assert (reader.probe(file).width, reader.probe(file).height) == expected.shape[::-1]
    assert ((frame[..., 0] > 127) == expected).mean() > 0.95


def test_bytes_are_read_like_files(tmp_path: Path) -> None:
    file = clip_data.write(tmp_path / "a.mp4", clip_data.numbered(8))
    assert np.array_equal(
        reader.read_frames(file.read_bytes(), [1, 5], FrameFormat(24)),
        reader.read_frames(file, [1, 5], FrameFormat(24)),
    )
    with pytest.raises(DataError, match="clip is empty"):
        reader.probe(b"")


def test_a_pipe_is_refused_unopened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(DataError, match="a pipe"):
        reader.probe(tmp_path / "pipe.mp4")


def test_a_playlist_cannot_open_another_file(tmp_path: Path) -> None:
    good = clip_data.write(tmp_path / "good.ts", clip_data.numbered(8), codec="mpeg2video")
    for kind, text in (
        ("m3u8", f"#EXTM3U\n#EXTINF:1,\n{good}\n"),
        ("ffconcat", f"ffconcat version 1.0\nfile {good}\n"),
    ):
        file = tmp_path / f"{kind}.mp4"
        file.write_text(text)
        with pytest.raises(DataError, match="no clip"):
            reader.probe(file)


def test_a_hanging_reader_is_killed_and_the_next_clip_is_read(tmp_path: Path, impatient: ClipReader) -> None:
    file = clip_data.write(tmp_path / "a.mp4", clip_data.numbered(8))
    request = Request("probe", str(file))
    impatient.seconds = 60  # the first request waits for imports
    assert impatient.run(request, b"", "a.mp4")[0]["frames"] == 8
    hung = impatient.child
    assert hung
    os.kill(hung.pid, signal.SIGSTOP)
    impatient.seconds = 0.2
    with pytest.raises(DataError, match=r"a\.mp4 .*0\.2 s"):
        impatient.run(request, b"", "a.mp4")
    assert hung.poll() is not None
    impatient.seconds = 60
    assert impatient.run(request, b"", "a.mp4")[0]["frames"] == 8


def test_a_crash_affects_its_clip_only(tmp_path: Path, impatient: ClipReader) -> None:
    file = clip_data.write(tmp_path / "a.mp4", clip_data.numbered(8))
    request = Request("probe", str(file))
    impatient.seconds = 60
    impatient.run(request, b"", "a.mp4")
    assert impatient.child
    impatient.child.kill()
    with pytest.raises(DataError, match=r"a\.mp4 .*\(signal 9\)"):
        impatient.run(request, b"", "a.mp4")
    assert impatient.run(request, b"", "a.mp4")[0]["frames"] == 8


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks /proc how large a process is")
def test_memory_of_the_reader_is_limited(tmp_path: Path, impatient: ClipReader) -> None:
    files = [tmp_path / "small.mkv", tmp_path / "large.mkv"]
    for file, side in zip(files, (48, 3000), strict=True):
        clip_data.write(file, [np.zeros((side, side, 3), np.uint8)] * 2, codec="mpeg4")
    requests = [Request("read", str(file)) for file in files]

    def both(clip_reader: ClipReader, which: int) -> dict[str, Any]:
        return clip_reader.run(requests[which], b"", files[which].name, lambda _count, _bytes: [0, 1])[0]

    impatient.seconds = 60
    assert both(impatient, 1)["shape"] == [2, 3000, 3000, 3]
    impatient.stop()
    both(impatient, 0)
    assert impatient.child
    pages = int(Path(f"/proc/{impatient.child.pid}/statm").read_text().split()[0])
    tight = ClipReader(seconds=60, memory=4096 * pages + (40 << 20))
    try:
        assert both(tight, 0)["shape"] == [2, 48, 48, 3]
        assert "needs more memory" in both(tight, 1)["error"]
    finally:
        tight.stop()


def test_the_reader_process_imports_neither_torch_nor_pillow() -> None:
    heavy = "{'torch', 'PIL', 'scipy', 'sklearn'}"
    code = f"import sys, residua.data.video.reader_process; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
