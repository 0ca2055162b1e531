"""Decoding: the right frames, every kind of bad file named, and nothing that hangs."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import video_files
from av.video.reformatter import Interpolation

from residua.errors import DataError
from residua.data.video import clips
from residua.data.video import reader
from residua.data.video import container
from residua.data.video.reader import Frames, Reader
from residua.data.video.scaling import ScaledFrames

FULL = Interpolation.BILINEAR | Interpolation.FULL_CHR_H_INT
"""As swscale makes RGB with a colour for every pixel, not one for two."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    return video_files.corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def impatient() -> Iterator[Reader]:
    made = Reader(seconds=1.0)
    yield made
    made.end()


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
    file = video_files.write(tmp_path / "a.mp4", list(frames), options=options)
    expected = in_order(file, size=(32, 24))
    for numbers in ([0], [39], [7, 8, 9], list(range(3, 40, 4)), [38, 2, 2, 21]):
        found = reader.read(file, numbers, Frames(24))
        assert np.array_equal(found, expected[numbers]), numbers


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
    file = video_files.write(tmp_path / "a.mkv", frames, codec=codec, pixels=pixels)
    expected = in_order(file, size=(round(64 * short / 48), short))
    found = reader.read(file, range(4), Frames(short))
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("size", [(32, 32), (0, 48), (640, 480)])
def test_a_header_that_lies_of_the_size_changes_no_pixel(tmp_path: Path, size: tuple[int, int]) -> None:
    file = video_files.write(tmp_path / "a.mp4", video_files.numbered(12), options={"bf": "2"})
    expected = reader.read(file, [3, 9], Frames(24))
    content = file.read_bytes()
    place = content.index(b"avc1", content.index(b"stsd")) + 28
    sizes = b"".join(side.to_bytes(2, "big") for side in size)
    file.write_bytes(content[:place] + sizes + content[place + 4 :])
    assert np.array_equal(reader.read(file, [3, 9], Frames(24)), expected)


def test_what_lies_between_distant_frames_is_never_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(0)
    frames = list(draw.integers(0, 256, (60, 48, 64, 3), dtype=np.uint8))
    options = {"g": "5", "keyint_min": "5", "bf": "2", "sc_threshold": "0"}
    file = video_files.write(tmp_path / "a.mp4", frames, options=options)
    sought: list[int] = []
    legs = container._legs
    monkeypatch.setattr(
        container, "_legs", lambda *asked: [sought.append(leg[0]) or leg for leg in legs(*asked)]
    )
    numbers = [2, 6, 31, 32, 59]
    found = container.read(str(file), lambda _count, _bytes: numbers, ScaledFrames(24, "rgb", "bilinear"))
    assert np.array_equal(found, in_order(file, size=(32, 24))[numbers])
    assert len(sought) == 3, "2 and 6 lie in neighbours, 31 and 32 in one stretch, 59 alone"


def test_a_request_that_ends_half_way_leaves_no_answer_behind(tmp_path: Path) -> None:
    file = video_files.write(tmp_path / "a.mp4", video_files.numbered(8))

    def stopped(_count: int, _bytes: int) -> list[int]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reader.taken(file, stopped, Frames(24))
    assert reader.look(file).frames == 8


def test_who_takes_knows_how_many_frames_there_are_and_how_large(tmp_path: Path) -> None:
    file = video_files.write(tmp_path / "a.mp4", video_files.numbered(8))
    told: list[tuple[int, int]] = []
    found = reader.taken(file, lambda *facts: told.append(facts) or [7, 0, 7], Frames(24))
    assert told == [(8, 24 * 32 * 3)]
    assert np.array_equal(found, reader.read(file, [7, 0, 7], Frames(24)))
    assert found.flags.writeable


def test_every_file_of_the_corpus_is_a_clip_or_says_in_one_line_why_not(
    corpus: dict[str, tuple[Path, str]],
) -> None:
    for name, (file, says) in corpus.items():
        if not says:
            facts = reader.look(file)
            assert reader.read(file, [0, facts.frames - 1], Frames(8)).shape[0] == 2, name
            assert clips.examine(file)[1].mode == "RGB", name
            continue
        with pytest.raises(DataError, match=says) as refused:
            reader.look(file)
        assert str(file) in str(refused.value), name
        assert "\n" not in str(refused.value), name


def test_frames_are_counted_and_never_believed(corpus: dict[str, tuple[Path, str]]) -> None:
    facts = {name: reader.look(file) for name, (file, says) in corpus.items() if not says}
    assert facts["lying.mp4"].frames == facts["good.mp4"].frames == 16
    assert facts["lying.mp4"].rate == facts["good.mp4"].rate == 25
    assert facts["uneven.mkv"].frames == 6
    assert facts["uneven.mkv"].rate == pytest.approx(1.0, rel=0.01)
    assert facts["million.mkv"].frames == 8
    assert 1 < facts["cut.mkv"].frames < 40


def test_frames_of_another_size_in_one_stream_come_as_one(corpus: dict[str, tuple[Path, str]]) -> None:
    file, _ = corpus["varying.ts"]
    found = reader.taken(file, lambda count, _bytes: range(count), Frames(24))
    assert found.shape[1:] == (24, 32, 3) if found.ndim == 4 else False


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_clip_is_turned_as_a_player_turns_it(tmp_path: Path, degrees: int) -> None:
    file = video_files.turned(tmp_path / "turned.mp4", degrees)
    frame = reader.read(file, [3], Frames())[0]
    upright = np.zeros((48, 64), bool)
    upright[:24] = True
    expected = np.rot90(upright, -degrees // 90)
    assert frame.shape[:2] == expected.shape
    assert (reader.look(file).width, reader.look(file).height) == expected.shape[::-1]
    assert ((frame[..., 0] > 127) == expected).mean() > 0.95


def test_bytes_are_read_like_files(tmp_path: Path) -> None:
    file = video_files.write(tmp_path / "a.mp4", video_files.numbered(8))
    assert np.array_equal(
        reader.read(file.read_bytes(), [1, 5], Frames(24)), reader.read(file, [1, 5], Frames(24))
    )
    with pytest.raises(DataError, match="the clip is empty"):
        reader.look(b"")


def test_a_pipe_is_refused_unopened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(DataError, match="a folder, a pipe or a device"):
        reader.look(tmp_path / "pipe.mp4")


def test_a_playlist_cannot_make_us_open_another_file(tmp_path: Path) -> None:
    good = video_files.write(tmp_path / "good.ts", video_files.numbered(8), codec="mpeg2video")
    for kind, text in (
        ("m3u8", f"#EXTM3U\n#EXTINF:1,\n{good}\n"),
        ("ffconcat", f"ffconcat version 1.0\nfile {good}\n"),
    ):
        file = tmp_path / f"{kind}.mp4"
        file.write_text(text)
        with pytest.raises(DataError, match="no clip"):
            reader.look(file)


def test_a_reader_that_hangs_is_ended_and_the_next_clip_is_read(tmp_path: Path, impatient: Reader) -> None:
    file = video_files.write(tmp_path / "a.mp4", video_files.numbered(8))
    question = {"what": "look", "file": str(file)}
    impatient.seconds = 60  # the first request waits for imports
    assert impatient.ask(question, b"", "a.mp4")[0]["frames"] == 8
    hung = impatient.child
    assert hung
    os.kill(hung.pid, signal.SIGSTOP)
    impatient.seconds = 0.2
    with pytest.raises(DataError, match=r"a\.mp4 takes longer than 0\.2 s"):
        impatient.ask(question, b"", "a.mp4")
    assert hung.poll() is not None
    impatient.seconds = 60
    assert impatient.ask(question, b"", "a.mp4")[0]["frames"] == 8


def test_a_reader_that_dies_costs_its_clip_alone(tmp_path: Path, impatient: Reader) -> None:
    file = video_files.write(tmp_path / "a.mp4", video_files.numbered(8))
    question = {"what": "look", "file": str(file)}
    impatient.seconds = 60
    impatient.ask(question, b"", "a.mp4")
    assert impatient.child
    impatient.child.kill()
    with pytest.raises(DataError, match=r"a\.mp4 makes the decoder fail \(signal 9\)"):
        impatient.ask(question, b"", "a.mp4")
    assert impatient.ask(question, b"", "a.mp4")[0]["frames"] == 8


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks /proc how large a process is")
def test_memory_is_limited(tmp_path: Path, impatient: Reader) -> None:
    files = [tmp_path / "small.mkv", tmp_path / "large.mkv"]
    for file, side in zip(files, (48, 3000), strict=True):
        video_files.write(file, [np.zeros((side, side, 3), np.uint8)] * 2, codec="mpeg4")
    questions = [{"what": "read", "file": str(file), **asdict(Frames())} for file in files]

    def both(asked: Reader, which: int) -> dict[str, Any]:
        return asked.ask(questions[which], b"", files[which].name, lambda _count, _bytes: [0, 1])[0]

    impatient.seconds = 60
    assert both(impatient, 1)["shape"] == [2, 3000, 3000, 3]
    impatient.end()
    both(impatient, 0)
    assert impatient.child
    pages = int(Path(f"/proc/{impatient.child.pid}/statm").read_text().split()[0])
    tight = Reader(seconds=60, memory=4096 * pages + (40 << 20))
    try:
        assert both(tight, 0)["shape"] == [2, 48, 48, 3]
        assert "needs more memory" in both(tight, 1)["error"]
    finally:
        tight.end()


def test_what_decodes_knows_neither_torch_nor_pillow() -> None:
    heavy = "{'torch', 'PIL', 'scipy', 'sklearn'}"
    code = f"import sys, residua.data.video.reader_process; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
