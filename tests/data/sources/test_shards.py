"""Shards: the same images as the files they were made of, found by any reader, refused when damaged."""

import hashlib
import json
import os
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from corpus import corpus, outcome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictures import photograph, pictured
from PIL import Image

from residua.data.decode import read_format
from residua.data.items import Members
from residua.data.open import find, open_dataset
from residua.data.scan import scan
from residua.data.sources.shards import list_shards, write_shards, wrong_digests
from residua.errors import DataError

Maker = Callable[..., Path]


def test_shards_hold_the_images_of_the_folder(packed: Path, tmp_path: Path) -> None:
    from_folder, from_shards = (
        open_dataset(str(tmp_path / name), val_fraction=0.5) for name in ("pets", "shards")
    )
    for these, those in ((from_folder.train, from_shards.train), (from_folder.test, from_shards.test)):
        assert pictured(these) == pictured(those)
    assert isinstance(from_shards.train.files, Members)
    for words in ("2 classes, 12 train + 5 val images", "shards train and val"):
        assert words in from_shards.note
    assert from_shards.size == from_folder.size


def test_one_folder_is_split_as_it_was_before_packing(folder: Maker, tmp_path: Path) -> None:
    root = folder(cat=11, dog=9)
    write_shards(find(str(root)), tmp_path / "shards")
    from_folder, from_shards = (
        open_dataset(str(place), val_fraction=0.3) for place in (root, tmp_path / "shards")
    )
    assert pictured(from_folder.test) == pictured(from_shards.test)
    below = folder("train", bird=4)
    (root / "cat").rename(root / "train" / "cat")
    (root / "dog").rename(root / "train" / "dog")
    write_shards(find(str(below)), tmp_path / "other")
    from_folder, from_shards = (
        open_dataset(str(place), val_fraction=0.3) for place in (below, tmp_path / "other")
    )
    assert {name.removeprefix("train/") for name in pictured(from_folder.test)} == set(
        pictured(from_shards.test)
    )


def test_any_order_and_any_process_reads_the_same(packed: Path) -> None:
    images = open_dataset(str(packed), val_fraction=0.5).train
    assert images.files is not None
    whole = [hashlib.sha256(images.files[i]).hexdigest() for i in range(len(images))]  # type: ignore[arg-type]
    reader, writer = os.pipe()
    if not os.fork():
        backwards = [hashlib.sha256(images.files[i]).hexdigest() for i in reversed(range(len(images)))]  # type: ignore[arg-type]
        os.write(writer, json.dumps(backwards[::-1]).encode())
        os._exit(0)
    os.wait()
    assert json.loads(os.read(reader, 1 << 20)) == whole
    part = images.subset(np.array([4, 1]))
    assert pictured(part) == {images.title(i): pictured(images)[images.title(i)] for i in (4, 1)}


def test_larger_images_are_made_smaller_when_asked_for(tmp_path: Path) -> None:
    for name, size in {"cat/0.jpg": (400, 300), "cat/1.png": (90, 400), "dog/0.jpg": (40, 30)}.items():
        (tmp_path / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[0x0112] = 6 if name == "cat/0.jpg" else 1
        photograph(*size).save(tmp_path / "pets" / name, exif=exif)
    listing = find(str(tmp_path / "pets"))
    assert write_shards(listing, tmp_path / "out", side=60).reduced == 2
    images = list_shards(str(tmp_path / "out")).train
    packed = {images.title(i): images.image(i, "rgb") for i in range(3)}
    assert {name: image.size for name, image in packed.items()} == {
        "cat/0.jpg": (60, 80),
        "cat/1.png": (60, 267),
        "dog/0.jpg": (40, 30),
    }
    assert packed["dog/0.jpg"] == listing.train.image(2, "rgb")
    near = listing.train.image(0, "rgb").resize((60, 80), Image.Resampling.BOX)
    assert np.abs(np.asarray(near, int) - np.asarray(packed["cat/0.jpg"], int)).mean() < 6


def test_decoded_every_kind_of_file_stays_the_pixels_it_was(tmp_path: Path) -> None:
    """As RGB and as grey: transparent, turned, deep, animated and damaged ones among them."""
    good = {name: content for name, content in corpus().items() if "rgb" in outcome(content)}
    for name, content in good.items():
        (tmp_path / "all" / "kinds").mkdir(parents=True, exist_ok=True)
        (tmp_path / "all" / "kinds" / name).write_bytes(content)
    (tmp_path / "all" / "other").mkdir()
    photograph(30, 20).save(tmp_path / "all" / "other" / "0.png")
    listing = find(str(tmp_path / "all"))
    assert write_shards(listing, tmp_path / "out", decoded=True).reduced == 0
    images = list_shards(str(tmp_path / "out")).train
    assert len(images) == len(listing.train) > 40
    for i in range(len(images)):
        content_of = images.item(i)
        assert isinstance(content_of, bytes)
        assert read_format(content_of) == "BMP"
        if (name := Path(images.title(i)).name) in good:
            assert outcome(content_of) == outcome(good[name]), name


def test_decoded_images_are_made_smaller_too(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        photograph(160, 120).save(tmp_path / "pets" / name / "0.jpg", quality=95)
    listing = find(str(tmp_path / "pets"))
    assert write_shards(listing, tmp_path / "out", side=60, decoded=True).reduced == 2
    image = list_shards(str(tmp_path / "out")).train.image(0, "rgb")
    whole = listing.train.image(0, "rgb", lambda size: min(size) // 60)
    assert np.array_equal(image, whole.resize((80, 60), Image.Resampling.LANCZOS))


@pytest.mark.parametrize("decoded", [False, True])
def test_a_bad_file_is_named_and_leads_to_the_check(folder: Maker, tmp_path: Path, decoded: bool) -> None:
    root = folder(cat=3, dog=3)
    bad = root / "cat" / "bad.png"
    whole = next((root / "dog").iterdir()).read_bytes()
    bad.write_bytes(whole[: len(whole) // 2] if decoded else b"text")
    with pytest.raises(DataError, match=rf"{bad} .*`residua data check {root}`"):
        write_shards(find(str(root)), tmp_path / "out", decoded=decoded)
    assert not (tmp_path / "out").exists()


def test_what_is_packed_anew_is_read_anew(folder: Maker, tmp_path: Path) -> None:
    listing, out = find(str(folder(cat=3, dog=3))), str(tmp_path / "out")
    write_shards(listing, tmp_path / "out")
    assert pictured(list_shards(out).train) == pictured(listing.train)
    write_shards(listing, tmp_path / "out", decoded=True, force=True)
    again = list_shards(out).train
    assert pictured(again) == pictured(listing.train)
    assert {read_format(again.item(i)) for i in range(6)} == {"BMP"}  # type: ignore[arg-type]


def test_the_same_images_make_the_same_bytes(folder: Maker, tmp_path: Path) -> None:
    listing = find(str(folder(cat=3, dog=3)))
    for name in ("one", "two"):
        write_shards(listing, tmp_path / name)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def test_webdataset_reads_them(packed: Path) -> None:
    web = pytest.importorskip("webdataset")
    split = open_dataset(str(packed), val_fraction=0.5).train
    shards = sorted(map(str, packed.glob("train-*.tar")))
    samples = list(web.WebDataset(shards, shardshuffle=False).decode("pil").to_tuple("png", "cls"))
    assert len(samples) == len(split) == 12
    for i, (image, label) in enumerate(samples):
        assert label == split.labels[i]
        assert np.array_equal(image, split.image(i, "rgb"))


def test_the_tars_hold_nothing_but_images_and_classes(packed: Path) -> None:
    for file in packed.glob("*.tar"):
        with tarfile.open(file) as tar:
            for info in tar:
                assert info.isfile()
                assert (info.mtime, info.uid, info.uname) == (0, 0, "")


def test_a_wrong_bit_is_found_by_its_digest(packed: Path) -> None:
    images = list_shards(str(packed)).train
    assert wrong_digests(images, scan([images], workers=0).facts["digest"]) == []
    assert isinstance(images.files, Members)
    archive, offset, size = images.files.places[5].tolist()
    with Path(images.files.archives[archive]).open("r+b") as file:
        file.seek(offset + size // 2)
        byte = file.read(1)[0]
        file.seek(offset + size // 2)
        file.write(bytes([byte ^ 8]))
    assert wrong_digests(images, scan([images], workers=0).facts["digest"]) == [5]


def test_out_is_not_overwritten_and_a_failure_leaves_nothing(folder: Maker, tmp_path: Path) -> None:
    root, out = folder(cat=2, dog=2), tmp_path / "shards"
    write_shards(find(str(root)), out)
    with pytest.raises(FileExistsError, match="give --force"):
        write_shards(find(str(root)), out)
    (root / "cat" / "0.png").write_text("no image")
    with pytest.raises(DataError, match=r"cat/0\.png is not an image"):
        write_shards(find(str(root)), out, force=True)
    assert len(open_dataset(str(out), val_fraction=0.5).train) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pets", "shards"]


def damaged(packed: Path, name: str, change: Callable[[dict], object]) -> str:
    file = packed / name
    rows = json.loads(file.read_text())
    change(rows)
    file.write_text(json.dumps(rows))
    with pytest.raises(DataError) as caught:
        list_shards(str(packed))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("index.json", lambda r: r.update(version=2), "version 2"),
        ("index.json", lambda r: r.pop("splits"), "splits"),
        ("index.json", lambda r: r["splits"]["train"].update(shards=["../../etc/passwd"]), "a shard called"),
        ("index.json", lambda r: r["splits"]["train"].update(shards=["https://evil"]), "a shard called"),
        ("index.json", lambda r: r["splits"]["train"].update(shards=[]), "no shards"),
        ("index.json", lambda r: r["splits"]["train"].update(classes=["a", "a"]), "no names"),
        ("index.json", lambda r: r["splits"].pop("val"), "splits 'train'"),
        ("train-00000.json", lambda r: r.update(bytes=5), "bytes, not 5"),
        ("train-00000.json", lambda r: r["offsets"].__setitem__(0, -512), "out of range"),
        ("train-00000.json", lambda r: r["sizes"].__setitem__(0, 1 << 27), "out of range"),
        ("train-00000.json", lambda r: r["labels"].__setitem__(0, 2), "out of range"),
        ("train-00000.json", lambda r: r["labels"].pop(), "different lengths"),
        ("train-00000.json", lambda r: r.update(labels=[[n] for n in r["labels"]]), "different lengths"),
        ("train-00000.json", lambda r: r["offsets"].__setitem__(0, 1 << 70), "train-00000.json is no index"),
        ("train-00000.json", lambda r: r["sha256"].__setitem__(0, "zz"), "train-00000.json is no index"),
    ],
)
def test_an_index_that_lies_is_refused(
    packed: Path, name: str, change: Callable[[dict], object], message: str
) -> None:
    assert message in damaged(packed, name, change)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, 2**70, -(2**63) - 1])
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def places(value: object) -> list[tuple[dict | list, object]]:
    """Every place in `value` that holds something: what it is in, and under which key."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in inside for place in [(value, key), *places(item)]]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["index.json", "train-00000.json"]), st.data())
def test_any_index_is_read_or_refused(packed: Path, name: str, data: st.DataObject) -> None:
    file = packed / name
    good = file.read_bytes()
    rows = json.loads(good)
    try:
        if data.draw(st.booleans()):
            inside, key = data.draw(st.sampled_from(places(rows)))
            inside[key] = data.draw(JSON)
            file.write_text(json.dumps(rows))
        else:
            mutant = bytearray(good)
            for place, value in data.draw(
                st.lists(st.tuples(st.integers(0, len(good) - 1), st.integers(0, 255)), max_size=4)
            ):
                mutant[place] = value
            file.write_bytes(mutant)
        with suppress(DataError):
            images = list_shards(str(packed)).train
            for i in range(len(images)):
                assert (images.classes[images.labels[i]] + images.title(i)).encode()
                with suppress(DataError):
                    images.image(i, "rgb")
    finally:
        file.write_bytes(good)


def test_a_shard_that_is_gone_is_named(packed: Path) -> None:
    (packed / "train-00000.tar").unlink()
    with pytest.raises(DataError, match=r"train-00000"):
        list_shards(str(packed))


def test_a_deep_index_is_refused(packed: Path) -> None:
    (packed / "index.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="no index of shards"):
        list_shards(str(packed))
