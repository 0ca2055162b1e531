import hashlib
import http.server
import io
import pickle
import struct
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from residua.data.open import open_dataset, open_evaluation_split
from residua.data.sources.cifar import _BINARY, _FORMS, list_cifar
from residua.errors import DataError, UnreachableError
from small import png

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
Batch = tuple[np.ndarray, np.ndarray]


def batch(seed: int, count: int = 6) -> Batch:
    """Labels and planes, as both forms hold them."""
    random = np.random.default_rng(seed)
    return random.integers(0, 10, count), random.integers(0, 256, (count, 3072), dtype=np.uint8)


def binary(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for seed, name in enumerate(["test_batch", *(f"data_batch_{i}" for i in range(1, 6))]):
        labels, planes = batch(seed)
        records = np.concatenate([labels[:, None].astype(np.uint8), planes], 1)
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    return folder


def modern(content: dict[str, object]) -> bytes:
    return pickle.dumps(content, protocol=4)


def ancient(content: dict[str, object]) -> bytes:
    """The pickle that Python 2 wrote, in which the official files come: its strings have no encoding."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<i", len(value)) + value

    def item(value: object) -> bytes:
        if isinstance(value, np.ndarray):
            kind = (
                b"cnumpy\ndtype\n"
                + text(b"u1")
                + b"K\x00K\x01\x87R(K\x03"
                + text(b"|")
                + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
            )
            shape = b"".join(b"J" + struct.pack("<i", side) for side in value.shape) + b"\x86"
            start = (
                b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
            )
            return start + b"(K\x01" + shape + kind + b"\x89" + text(value.tobytes()) + b"tb"
        if isinstance(value, list):
            return b"](" + b"".join(map(item, value)) + b"e"
        return b"J" + struct.pack("<i", value) if isinstance(value, int) else text(str(value).encode())

    return (
        b"\x80\x02}(" + b"".join(text(key.encode()) + item(value) for key, value in content.items()) + b"u."
    )


def python(folder: Path, dumps: Callable[[dict[str, object]], bytes]) -> Path:
    folder.mkdir(parents=True)
    for seed, name in enumerate(["test_batch", *(f"data_batch_{i}" for i in range(1, 6))]):
        labels, planes = batch(seed)
        (folder / name).write_bytes(dumps({"labels": labels.tolist(), "data": planes, "batch_label": name}))
    (folder / "batches.meta").write_bytes(dumps({"label_names": NAMES}))
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        list_cifar("cifar10", folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("below", ["", "cifar-10-batches-bin"])
def test_the_binary_form_is_read(tmp_path: Path, below: str) -> None:
    binary(tmp_path / "set" / below)
    dataset = open_dataset(f"cifar10:{tmp_path / 'set'}", val_fraction=0.2)
    assert dataset.train.classes == tuple(NAMES)
    assert (len(dataset.train), len(dataset.test), dataset.size, dataset.grey) == (30, 6, 32, False)
    labels, planes = batch(1)
    assert dataset.train.labels[:6].tolist() == labels.tolist()
    pixels = np.asarray(dataset.train.image(2, "rgb"))
    assert np.array_equal(pixels.transpose(2, 0, 1).ravel(), planes[2])
    assert dataset.test.title(4) == "test 4"
    assert dataset.train.image(0, "grey").mode == "L"


@pytest.mark.parametrize("dumps", [modern, ancient])
@pytest.mark.parametrize("below", ["", "cifar-10-batches-py"])
def test_both_forms_hold_the_same_images(
    tmp_path: Path, dumps: Callable[[dict[str, object]], bytes], below: str
) -> None:
    one = list_cifar("cifar10", binary(tmp_path / "binary"))
    python(tmp_path / "python" / below, dumps)
    other = list_cifar("cifar10", tmp_path / "python")
    for these, those in ((one.train, other.train), (one.test, other.test)):
        assert np.array_equal(these.pixels, those.pixels)
        assert np.array_equal(these.labels, those.labels)
        assert these.classes == those.classes


class Hostile:
    """Runs a function when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


class Sly(Hostile):
    """The same by a builtin."""

    def __reduce__(self) -> tuple[object, ...]:
        return exec, (f"open({str(self.marker)!r}, 'w')",)


@pytest.mark.parametrize("kind", [Hostile, Sly])
@pytest.mark.parametrize("name", ["data_batch_3", "batches.meta"])
def test_a_hostile_pickle_is_refused_and_runs_nothing(tmp_path: Path, kind: type[Hostile], name: str) -> None:
    folder, marker = python(tmp_path / "set", modern), tmp_path / "ran"
    content = modern({"data": kind(marker), "labels": [1], "label_names": [kind(marker)]})
    (folder / name).write_bytes(content)
    assert f"{name} is refused" in refusal(folder)
    assert not marker.exists()
    pickle.loads(content)
    assert marker.exists(), "the payload works, so that its absence above means something"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        modern({"labels": [1, 2]}),
        modern({"data": batch(0)[1], "labels": [1]}),
        modern({"data": batch(0)[1].astype(np.float32), "labels": [1] * 6}),
        modern({"data": np.asfortranarray(batch(0)[1]), "labels": [1] * 6}),
        modern({"data": batch(0)[1], "labels": ["a"] * 6}),
        modern({"data": np.dtype("u1"), "labels": [1] * 6}),
        modern([1, 2]),  # type: ignore[arg-type]
        b"cnumpy\nndarray\n}b.",
        b"cnumpy\ndtype\n(tR.",
    ],
)
def test_a_pickle_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    folder = python(tmp_path / "set", modern)
    (folder / "data_batch_2").write_bytes(content)
    assert "data_batch_2 is " in refusal(folder)


def test_missing_cut_and_wrong_files_are_named(tmp_path: Path) -> None:
    for word in ("no CIFAR-10", "data_batch_1.bin", "CLASS/NAME"):
        assert word in refusal(tmp_path)
    folder = binary(tmp_path / "set")
    (folder / "data_batch_4.bin").write_bytes(bytes(3074))
    assert "data_batch_4.bin has 3074 bytes" in refusal(folder)
    (folder / "data_batch_4.bin").write_bytes(b"\x0b" + bytes(3072))
    assert "outside 0 to 9" in refusal(folder)
    (folder / "data_batch_4.bin").unlink()
    assert "lacks data_batch_4.bin" in refusal(folder)


def test_a_source_without_its_folder_is_refused() -> None:
    with pytest.raises(DataError, match="names no file"):
        open_dataset("cifar10:", val_fraction=0.2)


def test_judged_images_are_matched_by_name(tmp_path: Path) -> None:
    source = f"cifar10:{binary(tmp_path / 'set')}"
    backwards = open_evaluation_split(source, classes=NAMES[::-1])
    assert backwards.labels.tolist() == [9 - label for label in batch(0)[0].tolist()]
    with pytest.raises(DataError, match=r"test .*'frog'.*network"):
        open_evaluation_split(source, classes=[name for name in NAMES if name != "frog"])


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    """What the authors' page would answer."""
    binary(tmp_path / "made" / "cifar-10-batches-bin")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        tar.add(tmp_path / "made" / "cifar-10-batches-bin", "cifar-10-batches-bin")
        evil = tarfile.TarInfo("../evil.bin")
        tar.addfile(evil, io.BytesIO())
    return stream.getvalue()


@pytest.fixture
def server(archive: bytes) -> Iterator[tuple[str, list[str]]]:
    """A page on this machine that answers with the archive, and the paths that were asked of it."""
    requests: list[str] = []

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            port = self.server.server_address[1]
            moves = {"/moved": "/a.tar.gz", "/away": f"http://localhost:{port}/a.tar.gz"}
            self.send_response(200 if self.path == "/a.tar.gz" else 302 if self.path in moves else 404)
            if self.path in moves:
                self.send_header("Location", moves[self.path])
            self.end_headers()
            self.wfile.write(archive)

        def log_message(self, *_: object) -> None:
            pass

    page = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=page.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{page.server_port}/a.tar.gz", requests
    page.shutdown()
    page.server_close()


@pytest.mark.usefixtures("online")
def test_a_download_is_kept_and_not_repeated(
    tmp_path: Path, archive: bytes, server: tuple[str, list[str]]
) -> None:
    (url, requests), cache = server, tmp_path / "deep" / "cache"
    md5 = hashlib.md5(archive).hexdigest()
    one = list_cifar("cifar10", None, cache=cache, url=url, md5=md5)
    other = list_cifar("cifar10", None, cache=cache, url=url, md5=md5)
    assert np.array_equal(one.train.pixels, other.train.pixels)
    assert len(requests) == 1
    names = sorted(path.name for path in (cache / "cifar-10-batches-bin").iterdir())
    assert names == ["batches.meta.txt", *(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    assert not list(tmp_path.rglob("evil*"))


def test_a_download_that_is_forbidden_asks_nobody(tmp_path: Path, server: tuple[str, list[str]]) -> None:
    with pytest.raises(UnreachableError, match=r"RESIDUA_OFFLINE .*cifar10:DIR"):
        list_cifar("cifar10", None, cache=tmp_path / "cache", url=server[0])
    assert server[1] == []


@pytest.mark.usefixtures("online")
def test_a_download_with_another_sum_is_refused_and_leaves_nothing(
    tmp_path: Path, server: tuple[str, list[str]]
) -> None:
    with pytest.raises(DataError, match=r"MD5 .*0000.*by hand"):
        list_cifar("cifar10", None, cache=tmp_path / "cache", url=server[0], md5="0000")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["cifar-10-batches-bin.lock"]


@pytest.mark.usefixtures("online")
def test_an_archive_that_lacks_a_file_is_refused(
    tmp_path: Path, archive: bytes, server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_FORMS, "cifar10", (replace(_BINARY, test="other.bin"), _FORMS["cifar10"][1]))
    with pytest.raises(DataError, match=r"unpacked .*other\.bin.* by hand"):
        list_cifar(
            "cifar10", None, cache=tmp_path / "cache", url=server[0], md5=hashlib.md5(archive).hexdigest()
        )


@pytest.mark.usefixtures("online")
def test_no_connection_says_how_to_go_on(tmp_path: Path, server: tuple[str, list[str]]) -> None:
    for url in ("http://127.0.0.1:9/none", server[0] + "/missing"):
        with pytest.raises(DataError, match=r"fetched .*cifar10:DIR") as caught:
            list_cifar("cifar10", None, cache=tmp_path / "cache", url=url)
        assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("online")
def test_redirects_stay_on_the_server(tmp_path: Path, archive: bytes, server: tuple[str, list[str]]) -> None:
    (url, requests), md5 = server, hashlib.md5(archive).hexdigest()
    with pytest.raises(DataError, match=r"redirects to http://localhost:"):
        list_cifar("cifar10", None, cache=tmp_path, url=url.replace("a.tar.gz", "away"), md5=md5)
    assert requests == ["/away"]
    listing = list_cifar("cifar10", None, cache=tmp_path, url=url.replace("a.tar.gz", "moved"), md5=md5)
    assert len(listing.train)


def hundred(folder: Path, *, python_form: bool) -> Path:
    """CIFAR-100 in one of its forms, with six images a split."""
    folder.mkdir(parents=True)
    names = [f"thing{i:02}" for i in range(100)]
    for seed, name in enumerate(("test", "train")):
        labels, planes = batch(seed)
        coarse, fine = labels, labels * 9 + 5
        if python_form:
            content = {"fine_labels": fine.tolist(), "coarse_labels": coarse.tolist(), "data": planes}
            (folder / name).write_bytes(ancient(content))
        else:
            records = np.concatenate([coarse[:, None], fine[:, None], planes], 1).astype(np.uint8)
            (folder / f"{name}.bin").write_bytes(records.tobytes())
    (folder / "meta").write_bytes(modern({"fine_label_names": names, "coarse_label_names": names[:20]}))
    (folder / "fine_label_names.txt").write_text("\n".join(names) + "\n")
    return folder


@pytest.mark.parametrize("python_form", [True, False])
def test_cifar100_is_read_with_its_fine_labels(tmp_path: Path, python_form: bool) -> None:
    hundred(tmp_path / ("cifar-100-python" if python_form else "cifar-100-binary"), python_form=python_form)
    dataset = open_dataset(f"cifar100:{tmp_path}", val_fraction=0.2)
    labels, planes = batch(1)
    assert dataset.train.labels.tolist() == (labels * 9 + 5).tolist()
    assert dataset.train.classes[5] == "thing05"
    assert "100 classes, 6 train + 6 test images" in dataset.note
    pixels = np.asarray(dataset.train.image(3, "rgb"))
    assert np.array_equal(pixels.transpose(2, 0, 1).ravel(), planes[3])


def test_the_hundred_are_not_taken_for_the_ten(tmp_path: Path) -> None:
    binary(tmp_path / "ten")
    with pytest.raises(DataError, match="no CIFAR-100"):
        list_cifar("cifar100", tmp_path / "ten")


def zipped(file: Path, *, split: str, count: int = 2, side: int = 32) -> None:
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        for label, name in enumerate(NAMES):
            for number in range(count):
                pixels = np.full((side, side, 3), 20 * label + number, np.uint8)
                archive.writestr(f"{split}{name}/{number}.png", png(pixels))
        archive.writestr(f"{split}readme.txt", "not an image")
        archive.writestr(f"__MACOSX/{split}airplane/._1.png", "debris")


@pytest.mark.parametrize("together", [True, False])
def test_zips_of_classes_are_read_in_memory(tmp_path: Path, together: bool) -> None:
    if together:
        zipped(tmp_path / "all.zip", split="cifar10/train/", count=3)
        zipped(tmp_path / "all.zip", split="cifar10/test/")
    else:
        zipped(tmp_path / "train.zip", split="train/", count=3)
        zipped(tmp_path / "test.zip", split="")
    before = sorted(tmp_path.rglob("*"))
    dataset = open_dataset(f"cifar10:{tmp_path / 'all.zip' if together else tmp_path}", val_fraction=0.2)
    assert (len(dataset.train), len(dataset.test), dataset.train.classes) == (30, 20, tuple(NAMES))
    assert [int(dataset.train.pixels[i, 0, 0, 0]) for i in range(5)] == [0, 1, 2, 20, 21]
    assert sorted(tmp_path.rglob("*")) == before


def test_zips_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    def refused(file: Path) -> str:
        with pytest.raises(DataError) as caught:
            list_cifar("cifar10", file)
        return str(caught.value)

    (tmp_path / "text.zip").write_text("no zip")
    assert "text.zip cannot be read" in refused(tmp_path / "text.zip")
    zipped(tmp_path / "one.zip", split="train/")
    assert "the same classes" in refused(tmp_path / "one.zip")
    for split in ("train/", "test/"):
        zipped(tmp_path / "large.zip", split=split, side=33)
    assert "33 x 33: give 32 x 32" in refused(tmp_path / "large.zip")
    cut = (tmp_path / "one.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(cut[: len(cut) // 2])
    assert "cut.zip cannot be read" in refused(tmp_path / "cut.zip")
