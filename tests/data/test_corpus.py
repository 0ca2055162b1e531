"""Every file of the bad-input corpus gives the recorded pixels, or is refused as recorded."""

import hashlib
import json
import re
import resource
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from corpus import corpus, outcome
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import photograph, saved
from PIL import Image

from residua.data.decode import decode, decode_with_header, read_size
from residua.errors import DataError

TABLE = json.loads(Path(__file__).with_name("corpus.json").read_text())
FILES = corpus()
SECONDS = 5.0
MAX_MEBIBYTES = 512


def test_the_table_lists_these_files() -> None:
    assert set(FILES) == set(TABLE)
    assert len(FILES) >= 80
    assert sum("refused" in row for row in TABLE.values()) >= 30


@pytest.mark.parametrize("name", TABLE)
def test_a_file_has_the_recorded_outcome(name: str) -> None:
    assert outcome(FILES[name]) == TABLE[name]


@pytest.mark.battery
@pytest.mark.parametrize("name", TABLE)
def test_no_file_takes_seconds(name: str) -> None:
    """Promise P10."""
    start = time.perf_counter()
    outcome(FILES[name])
    assert time.perf_counter() - start < SECONDS


def test_the_pinned_pixels_are_right() -> None:
    """A hash can record a mistake, so the rules are also checked by arithmetic."""

    def pixels(name: str) -> np.ndarray:
        return np.asarray(decode(FILES[name], colour="rgb")).astype(int)

    photo = np.asarray(photograph(48, 32)).astype(int)
    clear = np.asarray(Image.linear_gradient("L").resize((48, 32))).astype(int)[..., None]
    assert np.array_equal(pixels("mode-RGB.webp"), photo)
    assert np.abs(pixels("mode-RGBA.png") - (photo * clear + 255 * (255 - clear)) / 255).max() <= 1
    ramp = np.linspace(0, 65535, 48 * 32).reshape(32, 48).astype(int) // 256
    assert np.array_equal(pixels("16bit-type0.png")[..., 1], ramp)
    assert np.array_equal(pixels("16bit-type2.png")[..., 0], ramp)
    over_white = ramp * (128 / 255) + 255 * (127 / 255)
    assert np.abs(pixels("16bit-type4.png")[..., 2] - over_white).max() <= 1
    assert np.abs(pixels("16bit-type6.png")[..., 0] - over_white).max() <= 1
    assert (pixels("rgb-clear-colour.png") == 255).all()
    assert np.abs(pixels("mode-CMYK.jpg") - photo).mean() < 10
    assert (pixels("animated.gif")[0, 0] == [0, 90, 200]).all()


def test_the_whole_corpus_decodes_in_little_memory(tmp_path: Path) -> None:
    """A child process measures its peak before and after."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    code = (
        "import resource, sys, pathlib; from residua.data.decode import decode, DataError\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "before = peak()\n"
        "for file in pathlib.Path(sys.argv[1]).iterdir():\n"
        "    try: decode(file, colour='rgb')\n"
        "    except DataError: pass\n"
        "print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < MAX_MEBIBYTES


@pytest.mark.parametrize("name", [name for name in TABLE if name.startswith("claims") or "200MiB" in name])
def test_a_bomb_is_refused_by_its_header(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=re.escape(name)):
        decode(tmp_path / name, colour="rgb")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


PLACE = st.integers(0, 63) | st.floats(0, 1, exclude_max=True)
"""Place of a byte: among the first, where headers are, or as a share of the file."""
WHOLE = [name for name, row in TABLE.items() if "size" in row and len(FILES[name]) < 20_000]


@settings(max_examples=200, deadline=5000)
@given(
    st.sampled_from(WHOLE),
    st.lists(st.tuples(PLACE, st.integers(0, 255)), max_size=8),
    st.floats(0, 1),
)
def test_a_mutated_file_is_an_image_or_a_dataerror(
    name: str, changes: list[tuple[int | float, int]], share: float
) -> None:
    content = bytearray(FILES[name])
    for place, value in changes:
        content[place % len(content) if isinstance(place, int) else int(place * len(content))] = value
    short = bytes(content[: max(1, round(share * len(content)))])
    for mutant in (bytes(content), short):
        for read in (
            read_size,
            decode_with_header,
            lambda file: decode(file, colour="grey", shrink=lambda _: 4),
        ):
            with suppress(DataError):
                read(mutant)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("times", [0, 1, 2, 3, 4, 7, 8, 100])
def test_a_jpeg_shrinks_by_what_is_allowed_and_stays_upright(orientation: int, times: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = saved(photograph(640, 480), "JPEG", exif=exif, quality=95)
    sizes = []

    def shrink(size: tuple[int, int]) -> int:
        sizes.append(size)
        return times

    whole, small = decode(stored, colour="rgb"), decode(stored, colour="rgb", shrink=shrink)
    assert sizes == [whole.size]
    factor = max(f for f in (1, 2, 4, 8) if f <= max(times, 1))
    assert small.size == (whole.width // factor, whole.height // factor)
    near = np.asarray(whole.resize(small.size, Image.Resampling.BOX)).astype(int)
    assert np.abs(near - np.asarray(small)).mean() < 4


def test_only_jpegs_shrink() -> None:
    stored = saved(photograph(64, 48), "PNG")
    assert decode(stored, colour="rgb", shrink=lambda _: 8).size == (64, 48)


def test_the_header_comes_with_the_pixels(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x0110] = 6, "Canon", "EOS 5D"
    for kind in ("JPEG", "PNG"):
        (tmp_path / "x").write_bytes(saved(photograph(40, 30), kind, exif=exif))
        header, image = decode_with_header(tmp_path / "x")
        assert (header.size, header.format, header.mode) == ((40, 30), kind, "RGB")
        assert (header.orientation, header.camera, image.size) == (6, "Canon EOS 5D", (30, 40))
    assert decode_with_header(FILES["16bit-type0.png"])[0].mode == "I;16"
    assert decode_with_header(FILES["exif-broken.jpg"])[0].orientation == 1


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if "size" in row])
def test_decoding_with_the_header_gives_the_same_pixels(name: str) -> None:
    assert decode_with_header(FILES[name])[1] == decode(FILES[name], colour="rgb")


def test_the_corpus_is_the_same_every_time() -> None:
    again = corpus()
    assert {name: hashlib.sha256(content).digest() for name, content in again.items()} == {
        name: hashlib.sha256(content).digest() for name, content in FILES.items()
    }
