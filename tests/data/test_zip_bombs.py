"""Small files that claim to be large, of every kind: refused, within twice the file and 64 MiB."""

import gzip
import io
import os
import pickle
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from scipy.io import savemat

from residua.data.limits import LimitedReads, open_regular, opened_zip, read_member, read_regular
from residua.data.open import find, find_boxes
from residua.data.sources import imagenet, shards
from residua.data.unpickle import load_pickle
from residua.errors import DataError
from small import png

SPARE = 64 << 20
BOMB = 80 << 20  # bytes that a bomb unpacks to: more than any test may allocate


@pytest.fixture
def refused() -> Iterator[Callable[..., str]]:
    """Calls a function that must refuse `file`; the message, after its memory was compared with the file's
    size."""
    tracemalloc.start()

    def check(file: Path, act: Callable[[], object]) -> str:
        tracemalloc.reset_peak()
        start = tracemalloc.get_traced_memory()[0]
        with pytest.raises(DataError) as caught:
            act()
        used = tracemalloc.get_traced_memory()[1] - start
        size = file.stat().st_size
        assert used < 2 * size + SPARE, f"{used >> 20} MiB for {size >> 20} MiB"
        assert "\n" not in str(caught.value)
        return str(caught.value)

    yield check
    tracemalloc.stop()


def lie(archive: Path, size: int) -> None:
    """Every member of a zip claims to unpack to `size` bytes."""
    raw = bytearray(archive.read_bytes())
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = raw.find(mark)
        while at >= 0:
            raw[at + place : at + place + 4] = struct.pack("<I", size)
            at = raw.find(mark, at + 4)
    archive.write_bytes(raw)


def zip_of(archive: Path, method: int = zipfile.ZIP_DEFLATED, **members: bytes) -> Path:
    with zipfile.ZipFile(archive, "w", method) as out:
        for name, content in members.items():
            out.writestr(f"train/{name}/0.png", content)
    return archive


def test_a_member_is_unpacked_no_further_than_it_claims(refused: Callable[..., str], tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "a.zip", cat=bytes(BOMB))
    lie(archive, 3000)
    assert "a.zip" in refused(archive, lambda: find(f"cifar10:{archive}"))


def test_a_member_that_claims_too_much_or_is_packed_otherwise_is_refused(
    refused: Callable[..., str], tmp_path: Path
) -> None:
    archive = zip_of(tmp_path / "a.zip", cat=bytes(BOMB))
    assert "bytes" in refused(archive, lambda: find(f"cifar10:{archive}"))
    archive = zip_of(tmp_path / "b.zip", zipfile.ZIP_BZIP2, cat=bytes(4000))
    lie(archive, 3000)
    assert "method 12" in refused(archive, lambda: find(f"cifar10:{archive}"))


def test_many_tiny_images_are_too_many_for_their_zip(refused: Callable[..., str], tmp_path: Path) -> None:
    archive, image = tmp_path / "a.zip", png(np.zeros((32, 32, 3), np.uint8))
    with zipfile.ZipFile(archive, "w") as out:
        for number in range(200):
            out.writestr(f"train/cat/{number}.png", image)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("residua.data.sources.cifar._SPARE_BYTES", 0)
        assert "200 images" in refused(archive, lambda: find(f"cifar10:{archive}"))


def test_a_list_of_members_has_a_limit(refused: Callable[..., str], tmp_path: Path) -> None:
    """The end of a zip claims a list as long as the file."""
    file = tmp_path / "a.zip"
    size = 9 << 20
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 65535, 65535, size, 0, 0)
    file.write_bytes((b"PK\x01\x02" + bytes(42)) * (size // 46) + bytes(size % 46) + end)
    assert "claims" in refused(file, lambda: find(f"cifar10:{file}"))


def test_a_tar_with_headers_without_end_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    """A long name, which the library reads whole, of a devkit that unpacks a thousand times larger."""
    (tmp_path / imagenet.TRAIN).touch()
    info = tarfile.TarInfo("name")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, BOMB
    file = tmp_path / f"{imagenet.DEVKIT}.tar.gz"
    with gzip.open(file, "wb", 1) as out:
        out.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(BOMB >> 20):
            out.write(bytes(1 << 20))
    assert "claims" in refused(file, lambda: find(f"imagenet:{tmp_path}"))


def test_a_matrix_that_unpacks_without_end_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    stream = io.BytesIO()
    savemat(stream, {"synsets": np.zeros(1)})
    packed = zlib.compress(bytes(BOMB))
    root = tmp_path / imagenet.DEVKIT / "data"
    root.mkdir(parents=True)
    file = root / "meta.mat"
    file.write_bytes(stream.getvalue()[:128] + struct.pack("<II", 15, len(packed)) + packed)
    (root / "ILSVRC2012_validation_ground_truth.txt").write_text("1\n")
    (tmp_path / imagenet.TRAIN).touch()
    assert "unpacked" in refused(file, lambda: find(f"imagenet:{tmp_path}"))


@pytest.mark.parametrize("value", [b"[],", b"{},", b'"a",', b"1.5,"])
def test_an_index_of_many_small_values_is_refused_before_it_is_parsed(
    refused: Callable[..., str], tmp_path: Path, value: bytes
) -> None:
    """As Python objects they take twenty times as much."""
    file = tmp_path / shards.INDEX
    file.write_bytes(b"[" + value * ((12 << 20) // len(value)) + b"0]")
    assert "values" in refused(file, lambda: find(str(tmp_path)))


def test_an_index_is_no_larger_than_its_limit(refused: Callable[..., str], tmp_path: Path) -> None:
    """A file of holes takes no disk."""
    file = tmp_path / shards.INDEX
    with file.open("wb") as out:
        out.truncate(4 << 30)
    assert "larger" in refused(file, lambda: find(str(tmp_path)))


def test_names_full_of_commas_can_be_packed(tmp_path: Path) -> None:
    names = [f"{',[' * 40}{n}" for n in range(50)]
    shards._put(tmp_path / "a.json", {"names": names})
    assert shards._read(str(tmp_path / "a.json"))["names"] == names


def test_a_shard_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    part = {"classes": ["a", "b"], "shards": ["all-00000"] * 2}
    shards._put(tmp_path / shards.INDEX, {"format": "residua.shards", "version": 1, "splits": {"all": part}})
    with pytest.raises(DataError, match="twice"):
        find(str(tmp_path))


def test_an_index_grows_no_longer_than_can_be_read(
    tmp_path: Path, packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = find(str(packed))
    monkeypatch.setattr(shards, "_MOST_INDEX_BYTES", 600)
    shards.write_shards(images, tmp_path / "small")
    indices = [file for file in (tmp_path / "small").glob("*.json") if file.name != shards.INDEX]
    assert len(indices) > 3
    assert max(file.stat().st_size for file in indices) < 1000


def test_a_column_of_parquet_that_unpacks_without_end_is_refused(
    refused: Callable[..., str], tmp_path: Path
) -> None:
    file = tmp_path / "labels.parquet"
    text = arrow.array(["a" * (1 << 20)] * 80)
    parquet.write_table(
        arrow.table({"path": text, "label": text}), file, compression="zstd", use_dictionary=False
    )
    assert file.stat().st_size < 1 << 20
    before = arrow.total_allocated_bytes()
    assert "unpacks" in refused(file, lambda: find(str(file)))
    assert arrow.total_allocated_bytes() - before < SPARE


@pytest.mark.parametrize("name", ["labels.csv", "labels.jsonl"])
def test_a_line_without_end_is_refused(refused: Callable[..., str], tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes("é".encode() + b"a" * (20 << 20))
    assert "line" in refused(file, lambda: find(str(file)))


def test_a_pickle_that_asks_for_a_huge_memo_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    file = tmp_path / "data_batch_1"
    file.write_bytes(b"\x80\x02}r" + struct.pack("<I", 40_000_000) + b".")  # 640 MB of places
    assert "keeps" in refused(file, lambda: load_pickle(file))


def test_lists_in_lists_are_no_labels(tmp_path: Path) -> None:
    """A few hundred bytes, which an array would multiply by ten, twelve times."""
    nest: list[object] = [0]
    for _ in range(12):
        nest = [nest] * 10
    for name in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"):
        (tmp_path / name).write_bytes(pickle.dumps({"labels": nest, "data": np.zeros((1, 3072), np.uint8)}))
    (tmp_path / "batches.meta").write_bytes(pickle.dumps({"label_names": nest}))
    with pytest.raises(DataError, match=r"batches\.meta"):
        find(f"cifar10:{tmp_path}")
    (tmp_path / "batches.meta").write_bytes(pickle.dumps({"label_names": ["a", "b"]}))
    with pytest.raises(DataError, match="labels that"):
        find(f"cifar10:{tmp_path}")


def test_an_official_file_with_holes_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    for name in ("data_batch_1.bin", "test_batch.bin", *(f"data_batch_{n}.bin" for n in range(2, 6))):
        (tmp_path / name).touch()
    (tmp_path / "batches.meta.txt").write_text("a b")
    with (tmp_path / "data_batch_1.bin").open("wb") as out:
        out.truncate(3073 << 20)
    assert "larger" in refused(tmp_path / "data_batch_2.bin", lambda: find(f"cifar10:{tmp_path}"))


def test_reads_have_their_limits(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"12345")
    assert read_regular(file, 5) == b"12345"
    with pytest.raises(DataError, match="larger"):
        read_regular(file, 4)
    with open_regular(file) as stream, pytest.raises(DataError, match="claims"):
        LimitedReads(stream, file, 4).read()
    with open_regular(file) as stream:
        assert LimitedReads(stream, file, 4).read(4) == b"1234"
    archive = zip_of(tmp_path / "b.zip", cat=b"12345")
    with opened_zip(archive) as members:
        assert read_member(members, members.infolist()[0], 5) == b"12345"


KINDS: dict[str, Callable[[Path], str]] = {
    "index.json": lambda root: str(root),
    "labels.csv": lambda root: f"{root}/labels.csv",
    "labels.jsonl": lambda root: f"{root}/labels.jsonl",
    "labels.parquet": lambda root: f"{root}/labels.parquet",
    "a.zip": lambda root: f"cifar10:{root}/a.zip",
    "train.zip": lambda root: f"cifar10:{root}",
    "data_batch_1.bin": lambda root: f"cifar10:{root}",
    imagenet.TRAIN: lambda root: f"imagenet:{root}",
    "ILSVRC2012_devkit_t12.tar.gz": lambda root: f"imagenet:{root}",
    "annotations/instances_train.json": lambda root: f"coco:{root}",
    "ImageSets/Main/train.txt": lambda root: f"voc:{root}",
    "Annotations/0.xml": lambda root: f"voc:{root}",
    "labels.json": lambda root: f"video:{root}",
    "list.csv": lambda root: f"video:{root}/list.csv",
}
"""File, and the source that reads it."""


def pipe(file: Path) -> None:
    os.mkfifo(file)


def folder(file: Path) -> None:
    file.mkdir()


def device(file: Path) -> None:
    file.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [pipe, folder, device])
@pytest.mark.parametrize("name", KINDS)
def test_what_is_no_file_is_refused_at_once(name: str, make: Callable[[Path], None], tmp_path: Path) -> None:
    """A pipe would be waited for, `/dev/zero` be read without end."""
    for place in ("JPEGImages", "Annotations", "ImageSets/Main", "annotations"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "ImageSets/Main/val.txt").write_text("0\n")
    (tmp_path / "JPEGImages/0.png").write_bytes(png(np.zeros((32, 32, 3), np.uint8)))
    if name.startswith("Annotations"):
        (tmp_path / "ImageSets/Main/train.txt").write_text("0\n")
    if "devkit" in name:
        (tmp_path / imagenet.TRAIN).touch()
    make(tmp_path / name)
    source = KINDS[name](tmp_path)
    with pytest.raises(DataError):
        (find_boxes if source.startswith(("voc", "coco")) else _find)(source)


def _find(source: str) -> object:
    return find(source, holds="clips" if source.startswith("video:") else "images")


@pytest.mark.parametrize(("suffix", "says"), [(".json", "device"), (".tar", "bytes")])
def test_a_shard_that_is_no_file_is_refused_at_once(packed: Path, suffix: str, says: str) -> None:
    file = packed / f"train-00000{suffix}"
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(DataError, match=says):
        find(str(packed))
