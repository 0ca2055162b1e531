import os
import struct
import threading
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from pictures import photograph, saved
from PIL import Image

from residua.data.decode import decode, read_size
from residua.errors import DataError


def png_header(width: int, height: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def gif_header(width: int, height: int) -> bytes:
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", width, height, 0x80, 0, 0)
        + bytes(6)
        + b","
        + struct.pack("<HHHHB", 0, 0, width, height, 0)
        + b"\x02\x02\x44\x01\x00;"
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_turned_upright(orientation: int) -> None:
    upright = Image.new("RGB", (64, 32), "black")
    upright.paste("red", (0, 0, 16, 16))
    undo = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    stored = upright if undo is None else upright.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode(saved(stored, "PNG", exif=exif), colour="rgb")
    assert decoded.size == (64, 32)
    assert np.array_equal(decoded, upright)


def test_sixteen_bit_grey_keeps_its_mean() -> None:
    values = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    png = saved(Image.fromarray(values), "PNG")
    assert np.array_equal(decode(png, colour="grey"), values // 256)
    assert abs(np.asarray(decode(png, colour="rgb")).mean() - 127.5) < 1


@pytest.mark.parametrize(("colour", "white"), [("rgb", (255, 255, 255)), ("grey", 255)])
def test_transparent_pixels_show_white(colour: str, white: object) -> None:
    half = Image.new("RGBA", (8, 8), (10, 20, 30, 0))
    half.paste((10, 20, 30, 255), (0, 0, 4, 8))
    grey = Image.new("LA", (8, 8), (77, 0))
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    for content in (
        saved(half, "PNG"),
        saved(grey, "PNG"),
        saved(palette, "PNG", transparency=1),
        saved(palette, "PNG", transparency=b"\xff\x00"),
        saved(Image.new("RGB", (8, 8), (5, 6, 7)), "PNG", transparency=(5, 6, 7)),
    ):
        assert decode(content, colour=colour).getpixel((7, 7)) == white
    assert decode(saved(half, "PNG"), colour="rgb").getpixel((0, 0)) == (10, 20, 30)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_mode_becomes_rgb_or_grey(mode: str) -> None:
    png = saved(photograph(9, 7).convert(mode), "PNG")
    assert decode(png, colour="rgb").mode == "RGB"
    assert decode(png, colour="grey").mode == "L"


def test_cmyk_becomes_rgb() -> None:
    jpeg = saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    red, green, blue = decode(jpeg, colour="rgb").getpixel((8, 8))
    assert red > 240
    assert max(green, blue) < 15


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("blue", "red", "green")]
    animation = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    assert decode(animation, colour="rgb").getpixel((3, 3))[2] > 240


@pytest.mark.parametrize("percent", [10, 30, 50, 70, 90, 99])
def test_a_cut_jpeg_is_refused_by_name(tmp_path: Path, percent: int) -> None:
    whole = saved(photograph(64, 48), "JPEG")
    file = tmp_path / "cut.jpg"
    file.write_bytes(whole[: len(whole) * percent // 100])
    with pytest.raises(DataError, match=r"cut\.jpg is not an image"):
        decode(file, colour="rgb")


def test_a_png_with_a_wrong_byte_is_refused() -> None:
    png = bytearray(saved(photograph(64, 48), "PNG"))
    png[len(png) // 2] ^= 0x55
    with pytest.raises(DataError, match="not an image"):
        decode(bytes(png), colour="rgb")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.jpg", b"hello, world\n" * 30),
        ("zero.jpg", b""),
        ("html.png", b"<!DOCTYPE html><html><body>404</body></html>"),
        ("vector.svg.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("print.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"),
        ("ppm.jpg", b"P6 2 2 255 " + bytes(12)),
        ("icon.jpg", saved(Image.new("L", (16, 16)), "ICO")),
    ],
)
def test_other_formats_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    for read in (read_size, lambda file: decode(file, colour="rgb")):
        with pytest.raises(DataError, match=f"{name} is not an image"):
            read(file)


@pytest.mark.parametrize(
    "header",
    [png_header(50000, 50000), png_header(12000, 12000), png_header(5001, 5000), gif_header(60000, 60000)],
)
def test_a_header_that_claims_too_much_is_refused_before_its_pixels(
    tmp_path: Path, header: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("PIL.Image.Image.load")
    monkeypatch.delattr("PIL.ImageFile.ImageFile.load")
    file = tmp_path / "bomb.png"
    file.write_bytes(header)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match=r"bomb\.png .*at most 25,000,000"):
            read_size(file)


def test_a_header_within_the_limit_is_read_without_its_pixels(tmp_path: Path) -> None:
    file = tmp_path / "large.png"
    file.write_bytes(png_header(5000, 5000))
    assert read_size(file) == (5000, 5000)


def test_a_pipe_never_blocks(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    errors: list[str] = []

    def read() -> None:
        with pytest.raises(DataError) as caught:
            decode(pipe, colour="rgb")
        errors.append(str(caught.value))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(5)
    assert "a pipe" in errors[0]


def test_folders_devices_and_missing_files_are_refused(tmp_path: Path) -> None:
    for file, reason in [
        (tmp_path, "a folder"),
        (Path("/dev/zero"), "a device"),
        (tmp_path / "no.png", "No such"),
    ]:
        with pytest.raises(DataError, match=reason):
            decode(file, colour="rgb")


def test_an_unreadable_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "closed.png"
    file.write_bytes(saved(photograph(4, 4), "PNG"))

    def closed(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", closed)  # a file mode does not stop root
    with pytest.raises(DataError, match=r"closed\.png .*Permission denied"):
        decode(file, colour="rgb")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.filterwarnings("ignore:Truncated File Read")
def test_damaged_exif_is_ignored(kind: str) -> None:
    image = photograph(16, 12)
    for exif in (b"Exif\x00\x00garbage", b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff\x12\x01\x03\x00"):
        assert decode(saved(image, kind, exif=exif), colour="rgb").size == (16, 12)


def test_an_error_is_one_line_even_for_an_ugly_name(tmp_path: Path) -> None:
    file = tmp_path / "a\nb\x1b[31m.jpg"
    file.write_bytes(b"text")
    with pytest.raises(DataError) as caught:
        decode(file, colour="rgb")
    assert str(caught.value).isprintable()


def test_warning_filters_are_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    png, before, opened = saved(photograph(8, 8), "PNG"), list(warnings.filters), Image.open

    def slow(*arguments: object, **options: object) -> Image.Image:
        time.sleep(0.1)
        return opened(*arguments, **options)

    monkeypatch.setattr(Image, "open", slow)
    threads = [threading.Thread(target=decode, args=[png], kwargs={"colour": "rgb"}) for _ in range(2)]
    for thread in threads:
        thread.start()
        time.sleep(0.05)  # the second enters while the first is inside
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before
