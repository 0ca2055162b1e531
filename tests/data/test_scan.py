"""Scans: the record of every image, the same at any number of processes."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from corpus import corpus
from pictures import photograph, saved
from PIL import Image

from residua.data.images import Images
from residua.data.items import Files
from residua.data.open import find
from residua.data.scan import scan


def of(folder: Path, content: dict[str, bytes]) -> Images:
    for name, data in content.items():
        (folder / name).write_bytes(data)
    return Images("all", ("a",), np.zeros(len(content), np.int64), files=Files.of(folder, list(content)))


def test_every_fact_is_that_of_the_file(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x0110] = 6, "EOS"
    content = {
        "turned.jpg": saved(photograph(400, 300), "JPEG", exif=exif),
        "flat.png": saved(Image.new("RGB", (30, 20), (9, 99, 200)), "PNG"),
        "deep.png": saved(Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 100), "PNG"),
        "bad.png": b"no image",
    }
    result = scan([of(tmp_path, content)], workers=0)
    facts = result.facts
    assert facts["width"].tolist() == [300, 30, 30, 0]
    assert facts["height"].tolist() == [400, 20, 20, 0]
    assert facts["bytes"].tolist() == [len(data) for data in content.values()]
    for row, data in zip(facts, content.values(), strict=True):
        assert row["digest"].tobytes() == hashlib.sha256(data).digest()
    assert facts["orientation"].tolist()[0] == 6
    assert facts["flat"].tolist() == [False, True, False, False]
    assert facts["kind"].tolist() == ["JPEG", "PNG", "PNG", ""]
    assert facts["mode"].tolist() == ["RGB", "RGB", "I;16", ""]
    assert [result.cameras[row] for row in facts["camera"]] == ["EOS", "", "", ""]
    assert facts["readable"].tolist() == [True, True, True, False]
    assert list(result.reasons) == [3]
    assert "bad.png is not an image" in result.reasons[3]


def test_the_number_of_processes_changes_nothing(tmp_path: Path) -> None:
    many = {f"{n:03}.png": saved(photograph(20 + n % 7, 16, seed=n), "PNG") for n in range(90)}
    files = of(tmp_path, many | corpus())
    splits = [files.subset(np.arange(70)), files.subset(np.arange(70, len(files)))]
    calls: list[tuple[int, int]] = []
    one = scan(splits, workers=0, progress=lambda done, total: calls.append((done, total)))
    other = scan(splits, workers=2)
    assert (one.facts == other.facts).all()
    assert (one.cameras, one.reasons) == (other.cameras, other.reasons)
    count = len(files)
    assert calls == [(64, count), (128, count), (count, count)]
    assert len(one.reasons) == (~one.facts["readable"]).sum()


def test_pipes_links_and_missing_files_are_unreadable(tmp_path: Path) -> None:
    files = of(tmp_path, {"gone.png": b"", "loop.png": b"", "pipe.png": b""})
    for name in files.files.names.text.decode().replace(".png", ".png ").split():  # type: ignore[union-attr]
        (tmp_path / name).unlink()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    result = scan([files], workers=0)
    assert len(result.reasons) == 3
    assert "No such file" in result.reasons[0]
    assert "a pipe" in result.reasons[2]


def test_a_set_in_memory_is_scanned_too(folder: Callable[..., Path]) -> None:
    result = scan(find("digits").splits, workers=0)
    assert len(result.facts) == 1797
    assert not result.reasons
    assert (result.facts["bytes"] == -1).all()
    assert pytest.approx(8) == result.facts["width"].mean()


def test_workers_end_with_a_scan_that_is_killed() -> None:
    text = """
import os, time
from pathlib import Path
import numpy as np
from residua.data.images import Images
from residua.data.items import Files
from residua.data.scan import scan

class Slow(Files):
    def __getitem__(self, i):
        os.write(1, b"x")
        time.sleep(100)

names = [str(i) for i in range(300)]
scan([Images("all", ("a",), np.zeros(300, int), files=Slow.of(Path("."), names))], workers=2)
"""
    scanning = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE)
    assert scanning.stdout is not None
    assert scanning.stdout.read(2) == b"xx"  # both workers have begun
    scanning.kill()
    assert scanning.stdout.read() == b""  # end of file: no writer is left
    scanning.wait()
