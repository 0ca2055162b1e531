"""Shards at an address: what HTTP, S3 and other stores serve is what lies here; silence is no damage."""

import contextlib
import functools
import http.server
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import pictured

from command import complaint, residua, succeeded
from residua.data import batches, ranges
from residua.data.images import Images
from residua.data.listing import SourceListing, build_dataset
from residua.data.open import find, open_dataset
from residua.data.ranges import read_range
from residua.data.scan import scan
from residua.data.sources.shards import list_shards, write_shards
from residua.errors import DataError, UnreachableError
from residua.runs.run import Run
from residua.spec.preprocess import IMAGENET
from residua.spec.recipe import Budget
from small import file_of, recipe, split_folder, weights


class Ranges(http.server.SimpleHTTPRequestHandler):
    """Answers ranges."""

    def do_GET(self) -> None:
        file = Path(self.translate_path(self.path))
        if not file.is_file():
            self.send_error(404)
            return
        body = file.read_bytes()
        if byte_range := self.headers.get("Range"):
            first, last = byte_range.removeprefix("bytes=").split("-")
            part = body[int(first) : int(last) + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(body)}")
        else:
            part = body
            self.send_response(200)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving(folder: Path, how: type[http.server.SimpleHTTPRequestHandler] = Ranges) -> Iterator[str]:
    """The address of a server of `folder`."""
    pytest.importorskip("aiohttp")
    page = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(how, directory=folder))
    threading.Thread(target=page.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{page.server_port}"
    finally:
        page.shutdown()
        page.server_close()


def same(there: Images, here: Images, workers: int) -> bool:
    """Whether the batches of both are equal."""
    read = [
        list(batches.evaluation_batches(images, IMAGENET, batch_size=4, workers=workers, resident_bytes=0))
        for images in (there, here)
    ]
    return all(torch.equal(one.images, other.images) for one, other in zip(*read, strict=True))


def test_shards_are_read_over_http(packed: Path) -> None:
    with serving(packed) as address:
        there, here = (open_dataset(place, val_fraction=0.5) for place in (address, str(packed)))
        assert pictured(there.train) == pictured(here.train)
        assert pictured(there.test) == pictured(here.test)
        assert find(f"{address}/index.json").train.classes == ("cat", "dog")
        assert same(there.test, here.test, workers=2)  # after the parent used the network
        with pytest.raises(DataError, match=r"none/index\.json does not exist"):
            find(f"{address}/none")


def test_a_batch_is_asked_for_all_at_once(packed: Path) -> None:
    """But for its first image, which tells whether the server knows ranges."""
    together, requests = threading.Barrier(4, timeout=60), []

    class Together(Ranges):
        def do_GET(self) -> None:
            if "Range" in self.headers:
                requests.append(self.headers["Range"])
                if len(requests) > 1:
                    together.wait()  # until four wait for their answer
            super().do_GET()

    with serving(packed, Together) as address:
        images = list_shards(address).train
        images.prefetch(np.arange(5))
        assert len(requests) == 5
        here = list_shards(str(packed)).train
        assert [images.image(i, "rgb") for i in range(5)] == [here.image(i, "rgb") for i in range(5)]
        assert len(requests) == 5


def test_a_server_without_ranges_is_named_before_it_sends_everything(packed: Path) -> None:
    requests = []

    class Whole(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            requests.append(self.path)

    with serving(packed, Whole) as address:
        images = list_shards(address).train
        requests.clear()
        images.prefetch(np.arange(5))
        assert len(requests) == 1
        with pytest.raises(DataError, match="serve it with ranges"):
            images.image(0, "rgb")


def test_any_file_system_that_fsspec_knows_serves_them(packed: Path) -> None:
    """The way of `s3://`, which takes the same calls, without a server."""
    memory = pytest.importorskip("fsspec").filesystem("memory")
    memory.put(str(packed), "/bucket/shards", recursive=True)
    try:
        there = open_dataset("memory://bucket/shards", val_fraction=0.5)
        here = open_dataset(str(packed), val_fraction=0.5)
        there.train.prefetch(np.arange(3))
        assert pictured(there.train) == pictured(here.train)
        memory.rm("/bucket/shards/train-00000.tar")
        with pytest.raises(DataError, match=r"shards/train-00000\.tar does not exist"):
            there.train.image(0, "rgb")
    finally:
        memory.rm("/bucket", recursive=True)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_server_that_is_gone_makes_no_image_a_bad_one(
    packed: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "_PAUSES", (0.0, 0.0))
    with serving(packed) as address:
        images = list_shards(address).train
    many = images.subset(np.arange(200) % len(images))
    with pytest.raises(UnreachableError, match=r"\.tar cannot be read .*network"):
        scan([many], workers=workers)
    with pytest.raises(UnreachableError):
        build_dataset(SourceListing(address, images, None, ""), val_fraction=0.5)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_server_that_keeps_silent_is_asked_once(
    packed: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By each process: what it would read next is not waited for again."""
    silent, requests = threading.Event(), []

    class Silent(Ranges):
        def do_GET(self) -> None:
            if "Range" in self.headers:
                requests.append(self.path)
                silent.wait(30)
            super().do_GET()

    with serving(packed, Silent) as address:
        images = list_shards(address).train
        many = images.subset(np.arange(200) % len(images))
        monkeypatch.setattr(ranges, "_SECONDS", 0.5)
        says = r"\.tar cannot be read .*0\.5 seconds.*network"
        with pytest.raises(UnreachableError, match=says):
            scan([many], workers=workers)
        assert len(requests) == max(1, workers)
        with pytest.raises(UnreachableError, match=says):
            images.image(0, "rgb")
        with pytest.raises(UnreachableError, match=says):
            same(images, images, workers)
        silent.set()


def test_what_cannot_be_asked_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setattr(ranges, "_PAUSES", ())

    def refusal(error: Exception, address: str = "memory://bucket/a") -> str:
        def fail(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(fsspec.filesystem("memory").__class__, "cat_file", fail)
        monkeypatch.setattr(fsspec.core, "url_to_fs", fail if isinstance(error, ImportError) else url_to_fs)
        with pytest.raises(DataError) as caught:
            read_range(address, 0, 1)
        assert isinstance(caught.value, UnreachableError) != isinstance(
            error, FileNotFoundError | ImportError
        )
        return str(caught.value)

    url_to_fs = fsspec.core.url_to_fs
    assert "check the credentials" in refusal(RuntimeError("Unable to locate credentials"))
    assert "give credentials" in refusal(PermissionError("Forbidden"))
    assert "or the network" in refusal(RuntimeError("Could not connect"))
    assert "check the path" in refusal(FileNotFoundError("a"))
    assert "residua[shards]" in refusal(ImportError("Install s3fs"), "s3://b/a")
    assert "no extra" in refusal(ImportError("install gcsfs"), "gs://b/a")


@pytest.fixture(scope="module")
def store() -> Iterator[dict[str, str]]:
    """What the environment says of a server that speaks S3's protocol, moto, in a process of its own."""
    for name in ("moto", "flask", "flask_cors", "s3fs"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install 'residua[s3test]'")
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    server = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert server.stderr is not None
    try:
        address = next(urls[0] for line in server.stderr if (urls := re.findall(r"http://[\d.:]+", line)))
        threading.Thread(target=server.stderr.read, daemon=True).start()  # or its log fills the pipe
        yield {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",
        }
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def bucket(store: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Forty-five pictures of two splits in a bucket, and beside it in `tmp_path / "packed"`."""
    for name, value in store.items():
        monkeypatch.setenv(name, value)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    photos = split_folder(tmp_path / "photos", train=10, val=5)
    write_shards(find(str(photos)), tmp_path / "packed", shard_bytes=8000)
    system = s3fs.S3FileSystem()
    system.mkdir("photos")
    system.put(str(tmp_path / "packed"), "photos/packed", recursive=True)
    yield "s3://photos/packed"
    system.rm("photos", recursive=True)


def test_an_object_store_is_checked_trained_on_and_judged_like_a_folder(bucket: str, tmp_path: Path) -> None:
    there, here = (
        json.loads(succeeded(residua("data", "check", place, "--json", "--workers", "2")))
        for place in (bucket, tmp_path / "packed")
    )
    assert there.pop("images") == 45
    assert {**there, "source": here["source"], "images": 45} == here
    recipe_file = file_of(
        recipe(budget=Budget(epochs=2, batch_size=6, save_seconds=1000.0)), tmp_path / "recipe.json"
    )
    words = ("--recipe", recipe_file, "--set", "data.num_workers=2", "--set", "data.resident_bytes=0")
    for source, name in ((bucket, "there"), (tmp_path / "packed", "here")):
        succeeded(residua("train", source, *words, "-o", tmp_path / name))
    assert weights(Run(tmp_path / "there")) == weights(Run(tmp_path / "here"))
    scores = [
        json.loads(succeeded(residua("evaluate", tmp_path / name, "--data", source, "--json")))["scores"][0][
            "top1"
        ]
        for source, name in ((bucket, "there"), (tmp_path / "packed", "here"))
    ]
    assert scores[0] == scores[1]


def test_what_a_store_refuses_is_one_line(
    bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    line = complaint(residua("data", "check", "s3://absent/packed"), 4)
    assert "s3://absent/packed/index.json does not exist" in line
    assert "none/index.json does not exist" in complaint(residua("train", "s3://photos/none"), 4)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert "check the credentials" in complaint(residua("data", "check", bucket), 7)
