"""JPEGs that take minutes: many scans, or a header full of bytes that mean nothing. They are not opened."""

import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from pictures import photograph, saved
from PIL import Image

from residua.data.decode import decode, decode_rgb_or_grey, decode_with_header, read_size
from residua.data.jpeg import MAX_FILLING, MAX_SCANS, MAX_SEGMENTS, jpeg_problem
from residua.errors import DataError

SCAN, END, BLOCK = b"\xff\xda", b"\xff\xd9", 1 << 20
PROGRESSIVE = saved(photograph(64, 48), "JPEG", progressive=True)
OWN = PROGRESSIVE.count(SCAN)
"""Scans that the encoder wrote."""
TABLES = PROGRESSIVE.index(b"\xff\xdb")
"""Where its second segment begins."""


def with_scans(count: int, image: bytes = PROGRESSIVE) -> bytes:
    """A JPEG that repeats its last scan until it has so many."""
    last = image[image.rindex(SCAN) : image.rindex(END)]
    return image[: image.rindex(END)] + last * (count - image.count(SCAN)) + END


def with_segment(content: bytes, image: bytes = PROGRESSIVE, marker: bytes = b"\xff\xe5") -> bytes:
    """A JPEG with one more segment at its beginning, of at most 65,533 bytes."""
    return image[:2] + marker + (len(content) + 2).to_bytes(2, "big") + content + image[2:]


def problem(content: bytes) -> str:
    stream = io.BytesIO(content)
    text = jpeg_problem(stream)
    assert stream.tell() == 0
    return text


def test_as_many_scans_as_allowed_are_decoded() -> None:
    assert decode(with_scans(MAX_SCANS), colour="rgb").size == (64, 48)


@pytest.mark.parametrize(
    "read",
    [
        lambda file: decode(file, colour="rgb"),
        lambda file: decode(file, colour="grey", shrink=lambda size: 8),
        decode_rgb_or_grey,
        decode_with_header,
    ],
)
def test_more_scans_are_refused_before_the_file_reaches_pillow(
    read: Callable[[Path | bytes], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow.jpg").write_bytes(content := with_scans(MAX_SCANS + 1))
    assert read_size(tmp_path / "slow.jpg") == (64, 48)  # the header is sound
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("it reached Pillow"))
    with pytest.raises(DataError, match=r"slow\.jpg .* 100 JPEG scans"):
        read(tmp_path / "slow.jpg")
    with pytest.raises(DataError, match="100 JPEG scans"):
        read(content)


def test_scans_of_thumbnails_and_of_later_images_do_not_count() -> None:
    thumbnails = b"".join(SCAN + bytes(8) for _ in range(2 * MAX_SCANS))
    assert problem(with_segment(thumbnails)) == ""
    assert problem(PROGRESSIVE + with_scans(9 * MAX_SCANS)) == ""  # a photograph with a film, or MPO
    photo = photograph(64, 48)
    several = saved(photo, "MPO", save_all=True, append_images=[photo] * (MAX_SCANS + 1))
    assert several.count(SCAN) > MAX_SCANS
    assert decode(several, colour="rgb").size == (64, 48)


def test_pixels_restarts_and_filling_are_no_segments() -> None:
    first = PROGRESSIVE.index(SCAN)
    head, scans = PROGRESSIVE[:first], with_scans(MAX_SCANS + 1)[first:]
    restarts, others = b"\xff\xd0\xff\xd7\xff\xd8", b"\xff\x01\xff\xbf"
    for between in (b"\xff\0" * 999, restarts, b"\xff" * 999, others, b"\0\x7f"):
        filled = head + scans.replace(SCAN, between + SCAN)
        assert "scans" in problem(filled), between[:2]
    assert problem(head + SCAN.join(b"\0" * 9 for _ in range(2)) + END + SCAN * 999) == ""


@pytest.mark.parametrize("place", range(BLOCK - 50, BLOCK + 6))
def test_a_marker_may_lie_across_the_blocks_that_are_read(place: int) -> None:
    last = PROGRESSIVE[PROGRESSIVE.rindex(SCAN) : PROGRESSIVE.rindex(END)]
    head = PROGRESSIVE[: PROGRESSIVE.rindex(END)]
    head += bytes(place - len(head))  # behind the pixels of a scan, libjpeg skips to the next marker
    assert problem(head + last * (MAX_SCANS - OWN) + END + last) == ""
    assert "scans" in problem(head + last * (MAX_SCANS - OWN + 1) + END)


@pytest.mark.parametrize("cut", range(1, len(PROGRESSIVE), 97))
def test_a_cut_file_is_counted_to_its_end(cut: int, tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(PROGRESSIVE[:cut])
    assert problem(PROGRESSIVE[:cut]) == ""
    with pytest.raises(DataError, match=r"cut\.jpg is not an image"):
        decode(tmp_path / "cut.jpg", colour="rgb")


def test_a_length_below_two_counts_as_two() -> None:
    first = PROGRESSIVE.index(SCAN)
    for length in (b"\0\0", b"\0\1"):
        content = PROGRESSIVE[:first] + b"\xff\xe5" + length + with_scans(MAX_SCANS + 1)[first:]
        assert "scans" in problem(content)


def test_segments_without_end_are_refused_in_little_memory() -> None:
    content = PROGRESSIVE[:2] + b"\xff\xfe\0\2" * (2 << 20) + PROGRESSIVE[2:]
    tracemalloc.start()
    with pytest.raises(DataError, match=f"{MAX_SEGMENTS:,} JPEG segments"):
        decode(content, colour="rgb")
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_metadata_of_megabytes_are_read() -> None:
    content = PROGRESSIVE
    for _ in range(128):
        content = with_segment(bytes(65_533), content)
    assert decode(content, colour="rgb").size == (64, 48)


@pytest.mark.parametrize(
    "begins",
    [b"", b"\xff" * 9, b"\xff\xd9", b"\xff\xd0", b"\xff\xf0\xff\xff", b"\xff\xc8\xff\xff", b"\xff\xe5\0\2"],
    ids=bytes.hex,
)
@pytest.mark.parametrize("of_header", [False, True])
def test_a_header_is_filled_with_little_and_pillow_reads_that_alone(begins: bytes, of_header: bool) -> None:
    for start in (TABLES, PROGRESSIVE.index(SCAN)):
        for size in (MAX_FILLING, MAX_FILLING + 20, 3 * BLOCK):
            filled = PROGRESSIVE[:start] + begins + bytes(size - len(begins)) + PROGRESSIVE[start:]
            stream = io.BytesIO(filled)
            text = jpeg_problem(stream, of_header=of_header)
            assert stream.tell() == 0
            assert ("65,536 bytes between" in text) == (size > MAX_FILLING)
            if size == MAX_FILLING:
                assert Image.open(stream).size == (64, 48)  # that it takes; libjpeg refuses some


def test_a_filled_header_reaches_pillow_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow.jpg").write_bytes(PROGRESSIVE[:TABLES] + bytes(8 << 20) + PROGRESSIVE[TABLES:])
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("it reached Pillow"))
    for read in (read_size, decode_with_header, decode_rgb_or_grey):
        with pytest.raises(DataError, match=r"slow\.jpg .* 65,536 bytes between"):
            read(tmp_path / "slow.jpg")


def test_bytes_between_scans_are_no_filling() -> None:
    scan = PROGRESSIVE.rindex(SCAN)
    assert problem(PROGRESSIVE[:scan] + bytes(3 * BLOCK) + PROGRESSIVE[scan:]) == ""


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_other_formats_have_no_scans(kind: str) -> None:
    assert problem(saved(photograph(64, 48), kind) + SCAN * 999) == ""
