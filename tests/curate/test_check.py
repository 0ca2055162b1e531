"""`check`: planted defects are found, each once and under its key; a clean dataset has no findings."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from residua.curate.check import DataCheck, check
from residua.curate.check_page import contact_sheet
from residua.data.open import find
from residua.data.sources.shards import write_shards
from residua.errors import DataError


def scene(seed: int, size: tuple[int, int] = (96, 72)) -> Image.Image:
    """Shapes at random, smooth as photographs are."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """Two splits of three classes without defects."""
    number = 0
    for split, count in (("train", 8), ("val", 3)):
        for name in ("ant", "bee", "cat"):
            folder = tmp_path / "set" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                scene(number := number + 1).save(folder / f"{i}.jpg", quality=92)
    return tmp_path / "set"


def findings(root: Path | str) -> dict[str, list[str]]:
    """Key of each finding -> its titles or names."""
    result = check(str(root), workers=0)
    return {f.key: [*map(result.title, sum(f.groups, ())), *f.names] for f in result.findings}


def test_a_clean_dataset_has_no_findings(clean: Path) -> None:
    assert findings(clean) == {}


def test_the_digits_have_no_findings() -> None:
    result = check("digits", workers=0)
    assert not result.has_problem
    assert result.findings == ()
    assert result.metadata is None


Plant = Callable[[Path], object]


@pytest.mark.parametrize(
    ("key", "plant", "titles"),
    [
        ("unreadable", lambda r: (r / "train/ant/x.jpg").write_text("text"), ["train/ant/x.jpg"]),
        ("unreadable", lambda r: cut(r / "train/ant/3.jpg"), ["train/ant/3.jpg"]),
        ("empty", lambda r: (r / "val/bee/x.png").write_bytes(b""), ["val/bee/x.png"]),
        (
            "duplicate",
            lambda r: shutil.copy(r / "train/ant/1.jpg", r / "train/ant/z.jpg"),
            ["train/ant/1.jpg", "train/ant/z.jpg"],
        ),
        (
            "duplicate_conflict",
            lambda r: shutil.copy(r / "train/ant/1.jpg", r / "train/bee/z.jpg"),
            ["train/ant/1.jpg", "train/bee/z.jpg"],
        ),
        (
            "duplicate_leak",
            lambda r: shutil.copy(r / "train/ant/1.jpg", r / "val/ant/z.jpg"),
            ["train/ant/1.jpg", "val/ant/z.jpg"],
        ),
        (
            "near",
            lambda r: resaved(r / "train/ant/1.jpg", r / "train/ant/z.jpg"),
            ["train/ant/1.jpg", "train/ant/z.jpg"],
        ),
        (
            "near_conflict",
            lambda r: resaved(r / "train/ant/1.jpg", r / "train/cat/z.jpg"),
            ["train/ant/1.jpg", "train/cat/z.jpg"],
        ),
        (
            "near_leak",
            lambda r: resaved(r / "train/ant/1.jpg", r / "val/ant/z.jpg"),
            ["train/ant/1.jpg", "val/ant/z.jpg"],
        ),
        (
            "constant",
            lambda r: Image.new("RGB", (50, 50), "navy").save(r / "val/cat/x.jpg"),
            ["val/cat/x.jpg"],
        ),
        ("rotated", lambda r: turned(r / "train/bee/x.jpg"), ["train/bee/x.jpg"]),
        ("colour", lambda r: scene(99).convert("CMYK").save(r / "train/bee/x.jpg"), ["train/bee/x.jpg"]),
        ("colour", lambda r: scene(99).convert("L").save(r / "train/bee/x.png"), ["train/bee/x.png"]),
        ("shape", lambda r: scene(99, (300, 100)).save(r / "train/bee/x.jpg"), ["train/bee/x.jpg"]),
        ("hidden", lambda r: (r / "train/ant/Thumbs.db").write_text(""), ["train/ant/Thumbs.db"]),
        ("other", lambda r: (r / "train/ant/notes.txt").write_text(""), ["train/ant/notes.txt"]),
        ("loose", lambda r: scene(99).save(r / "train/x.jpg"), ["train/x.jpg"]),
        ("link", lambda r: (r / "train/ant/out.jpg").symlink_to("/etc/hosts"), ["train/ant/out.jpg"]),
        (
            "no_images",
            lambda r: [(r / s / "dog").mkdir() for s in ("train", "val")],
            ["dog in train", "dog in val"],
        ),
        ("unknown", lambda r: (r / "train/ant").rename(r / "train/Ape"), ["ant"]),
        ("twins", lambda r: shutil.copytree(r / "train/ant", r / "train/Ant"), ["Ant / ant"]),
    ],
)
def test_a_planted_defect_is_the_only_finding(clean: Path, key: str, plant: Plant, titles: list[str]) -> None:
    plant(clean)
    keys = findings(clean)
    assert sorted(keys[key]) == sorted(titles)
    implied = {"unknown": {"untested"}, "twins": {"duplicate_conflict", "untested", "order"}}.get(key, set())
    assert set(keys) - {key} <= implied


def cut(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) * 2 // 3])


def resaved(file: Path, to: Path) -> None:
    with Image.open(file) as image:
        image.resize((64, 48)).save(to, quality=70)


def turned(file: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    scene(98).save(file, exif=exif)


def test_labels_predictable_from_the_camera_are_a_problem(tmp_path: Path) -> None:
    for place, name in enumerate(("ill", "well")):
        (tmp_path / name).mkdir()
        exif = Image.Exif()
        exif[0x010F] = ("Siemens", "Philips")[place]
        for i in range(25):
            scene(100 * place + i).save(tmp_path / name / f"{i}.jpg", exif=exif)
    result = check(str(tmp_path), workers=0)
    assert result.metadata is not None
    assert result.metadata.accuracy == 100
    assert result.metadata.baseline == 50
    assert result.metadata.gain == 1
    finding = next(f for f in result.findings if f.key == "metadata")
    assert (finding.level, finding.names[0][:7]) == ("problem", "camera ")


def test_labels_unrelated_to_metadata_are_no_finding(clean: Path) -> None:
    result = check(str(clean), workers=0)
    assert result.metadata is not None
    assert result.metadata.gain < 0.1


def digest(root: Path) -> dict[str, str]:
    return {
        str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(root.rglob("*")) if p.is_file()
    }


def dirty(root: Path) -> Path:
    cut(root / "train/ant/3.jpg")
    shutil.copy(root / "train/ant/1.jpg", root / "val/bee/<b>&.jpg")
    resaved(root / "train/bee/1.jpg", root / "train/cat/z.jpg")
    (root / "train/ant/empty.png").write_bytes(b"")
    turned(root / "train/bee/x.jpg")
    (root / "train/ant/notes.txt").write_text("")
    return root


def test_nothing_is_changed_and_json_has_everything(clean: Path) -> None:
    before = digest(dirty(clean))
    result = check(str(clean), workers=2)
    assert digest(clean) == before
    plain = json.loads(json.dumps(result.plain(), allow_nan=False))
    assert plain["images"] == 37
    assert plain["classes"]["val"] == {"ant": 3, "bee": 4, "cat": 3}
    assert [f["level"] for f in plain["findings"]] == ["problem"] * plain["problems"] + ["note"] * 2
    by_key = {f["key"]: f for f in plain["findings"]}
    assert by_key["unreadable"]["files"][0]["file"] == "train/ant/3.jpg"
    assert "truncated" in by_key["unreadable"]["files"][0]["reason"]
    assert by_key["duplicate_leak"]["groups"] == [
        [
            {"file": "train/ant/1.jpg", "split": "train", "class": "ant"},
            {"file": "val/bee/<b>&.jpg", "split": "val", "class": "bee"},
        ]
    ]


def test_the_sheet_shows_findings_and_escapes_names(clean: Path) -> None:
    result = check(str(dirty(clean)), workers=0)
    page = contact_sheet(result)
    for text in (
        "Data check of",
        "(data leakage): 1",
        "Rotated by EXIF: 1",
        "3.jpg",
        "truncated",
    ):
        assert text in page
    assert "&lt;b&gt;&amp;.jpg" in page
    assert "<b>&.jpg" not in page
    assert page.count("<img") >= 20
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_flat_folders_shards_and_lists_are_checked_too(clean: Path, tmp_path: Path) -> None:
    assert findings(clean / "train" / "ant") == {}
    (clean / "list.csv").write_text("".join(f"train/{name}/1.jpg,{name}\n" for name in ("ant", "bee", "cat")))
    assert set(findings(clean / "list.csv")) == {"single"}
    write_shards(find(str(clean)), tmp_path / "packed")
    assert findings(tmp_path / "packed") == {}
    tar = tmp_path / "packed" / "train-00000.tar"
    content = bytearray(tar.read_bytes())
    content[700] ^= 1
    tar.write_bytes(content)
    assert set(findings(tmp_path / "packed")) >= {"digest"}
    with pytest.raises(DataError, match="does not exist"):
        check(str(tmp_path / "none"), workers=0)


def test_planted_duplicates_among_the_digits_are_all_found(tmp_path: Path) -> None:
    """The digits as files, with twenty copies, ten leaks and five torn files: those, and no others."""
    images = find("digits").train
    draw = np.random.default_rng(0)
    for i in range(400):
        split = "train" if i % 4 else "val"
        folder = tmp_path / split / images.classes[images.labels[i]]
        folder.mkdir(parents=True, exist_ok=True)
        images.image(i, "grey").resize((32, 32)).save(folder / f"{i}.png")
    train = sorted((tmp_path / "train").rglob("*.png"))
    chosen = draw.choice(len(train), 35, replace=False).tolist()
    for place in chosen[:20]:
        shutil.copy(train[place], train[place].with_name(f"copy{place}.png"))
    for place in chosen[20:30]:
        shutil.copy(train[place], tmp_path / "val" / train[place].parent.name / f"leak{place}.png")
    for place in chosen[30:]:
        cut(train[place])
    result = check(str(tmp_path), workers=0)
    counts = {finding.key: finding.count for finding in result.findings if finding.level == "problem"}
    assert counts == {"duplicate": 20, "duplicate_leak": 10, "unreadable": 5}
    assert counts_of_near(result) == 0


def counts_of_near(result: DataCheck) -> int:
    return sum(finding.count for finding in result.findings if finding.key.startswith("near"))
