"""Label files: what is read, what is refused by its row, and that nothing else ever happens."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import photograph

from residua.data.images import Images
from residua.data.open import open_dataset, open_evaluation_split
from residua.data.sources.labels import list_label_file
from residua.errors import DataError

Maker = Callable[..., Path]


def titles(images: Images) -> list[str]:
    return [images.title(i) for i in range(len(images))]


def listing(root: Path, text: str | bytes, name: str = "labels.csv") -> Path:
    file = root / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def refusal(file: Path) -> str:
    with pytest.raises(DataError) as caught:
        list_label_file(file)
    assert "\n" not in str(caught.value)
    return str(caught.value)


ROWS = [("cat/0.png", "cat", "train"), ("dog/0.png", "dog", "train"), ("cat/1.png", "cat", "val")]
ROWS += [("dog/1.png", "dog", "val"), ("cat/2.png", "cat", "train")]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("head", [True, False])
def test_every_dialect_says_the_same(folder: Maker, mark: str, end: str, bom: str, head: bool) -> None:
    root = folder(cat=3, dog=2)
    rows = [("path", "label", "split"), *ROWS] if head else ROWS
    text = bom + "".join(
        mark.join(f'"{cell}"' if i % 2 else cell for i, cell in enumerate(row)) + end for row in rows
    )
    dataset = open_dataset(str(listing(root, text)), val_fraction=0.5)
    assert dataset.train.classes == dataset.test.classes == ("cat", "dog")
    assert titles(dataset.train) == ["cat/0.png", "dog/0.png", "cat/2.png"]
    assert titles(dataset.test) == ["cat/1.png", "dog/1.png"]
    for words in ("2 classes, 3 train + 2 val images", "column of labels.csv"):
        assert words in dataset.note
    assert dataset.train.image(0, "rgb").size == (40, 50)


def test_columns_are_found_by_name_and_others_ignored(folder: Maker) -> None:
    root = folder(cat=2, dog=2)
    text = "id,Label,quality,Filename\n" + "".join(
        f'{i},{name},"good, or not",{name}/{i}.png\n' for name in ("dog", "cat") for i in range(2)
    )
    dataset = open_dataset(str(listing(root, text)), val_fraction=0.5)
    assert dataset.train.classes == ("cat", "dog")
    assert len(dataset.train) + len(dataset.test) == 4
    assert "50% held out" in dataset.note


def test_the_split_by_hash_is_that_of_the_folder(folder: Maker) -> None:
    root = folder(cat=10, dog=10)
    text = "".join(f"{name}/{i}.png,{name}\n" for name in ("cat", "dog") for i in range(10))
    listed, walked = (open_dataset(str(p), val_fraction=0.3) for p in (listing(root, text), root))
    assert titles(listed.test) == titles(walked.test)


def test_parquet_says_the_same_as_csv(folder: Maker) -> None:
    root = folder(cat=3, dog=2)
    columns = dict(zip(("path", "label", "split"), map(list, zip(*ROWS, strict=True)), strict=True))
    parquet.write_table(arrow.table({"more": range(5), **columns}), root / "labels.parquet")
    dataset = open_dataset(str(root / "labels.parquet"), val_fraction=0.5)
    assert titles(dataset.train) == ["cat/0.png", "dog/0.png", "cat/2.png"]
    assert dataset.test.labels.tolist() == [0, 1]


def test_labels_that_are_numbers_keep_their_order(folder: Maker) -> None:
    root = folder(cat=12)
    text = "".join(f"cat/{i}.png,{i}.0\n" for i in range(12))
    label_list = list_label_file(listing(root, text))
    assert label_list.train.classes == tuple(map(str, range(12)))
    table = arrow.table({"path": [f"cat/{i}.png" for i in range(3)], "label": [0.0, 10.0, 2.0]})
    parquet.write_table(table, root / "l.parquet")
    assert list_label_file(root / "l.parquet").train.classes == ("0", "2", "10")


def test_other_counting_orders_are_said(folder: Maker) -> None:
    names = [f"class {i}" for i in (1, 2, 10)]
    root = folder(**dict.fromkeys(names, 2))
    note = open_dataset(str(root), val_fraction=0.5).note
    assert "'class 1', 'class 10', 'class 2'" in note


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat/0.png,cat\ncat/1.png,\n", "row 2 .*''"),
        ("path,label\ncat/0.png,NaN\n", "row 2 .*'NaN'"),
        ("cat/0.png,inf\n", "row 1 .*'inf'"),
        ("cat/0.png,-1\n", "row 1 .* -1: .* from 0 on"),
        ("cat/0.png,0.5\n", r"row 1 .* 0\.5"),
        (",cat\n", "row 1 .*no path"),
        ("cat/0.png,cat\ncat/0.png,dog\n", r"row 2 .*cat/0\.png.* row 1"),
        ("cat/0.png,cat\ncat/../cat/0.png,cat\n", "row 1 .*already"),
        ("../0.png,cat\n", r"row 1 .*\.\./0\.png.* outside"),
        ("/etc/passwd,cat\n", "row 1 .*/etc/passwd.* outside"),
        (
            "cat/0.png,cat,train\ncat/1.png,cat,later\n",
            "row 2 .*'later'.* train, val or test",
        ),
        ("cat/0.png,cat,train\ncat/1.png,cat,\n", "split in some rows"),
        ("cat/0.png,cat\n\n\ncat/1.png\n", "row 4 has 1 cells: give 2"),
        ("cat/0.png\n", "has one column"),
        ("path,split\ncat/0.png,train\n", "no column .*label"),
        ("path,file,label\na,b,c\n", "2 columns .*path"),
        ("", "lists no image"),
        ("path,label\n", "lists no image"),
        ('cat/0.png,"cat\n', "is no CSV"),
        (b"cat/0.png,c\xe4t\n", r"UTF-8 \(byte 11\)"),
        ("cat/0.png,cat\0\n", "labels.csv"),
    ],
)
def test_a_bad_row_is_named(folder: Maker, text: str | bytes, message: str) -> None:
    root = folder(cat=2)
    if isinstance(text, str) and "\0" in text:
        with suppress(DataError):
            list_label_file(listing(root, text))
        return
    assert re.search(message, refusal(listing(root, text)))


def test_a_null_label_in_parquet_is_named(folder: Maker) -> None:
    root = folder(cat=2)
    for labels in (["cat", None], [1.0, float("nan")]):
        table = arrow.table({"path": ["cat/0.png", "cat/1.png"], "label": labels})
        parquet.write_table(table, root / "labels.parquet")
        assert "row 2 has the label" in refusal(root / "labels.parquet")
    several = arrow.table({"path": ["cat/0.png"], "label": [[0, 1]]})
    parquet.write_table(several, root / "labels.parquet")
    assert "row 1 has several labels" in refusal(root / "labels.parquet")
    (root / "labels.parquet").write_bytes(b"PAR1 not at all PAR1")
    assert "no Parquet" in refusal(root / "labels.parquet")


def test_a_link_does_not_lead_out_of_the_folder(folder: Maker, tmp_path: Path) -> None:
    root = folder(cat=2)
    photograph(9, 9).save(tmp_path / "secret.png")
    (root / "cat" / "out.png").symlink_to(tmp_path / "secret.png")
    (root / "away").symlink_to(tmp_path)
    for path in ("cat/out.png", "away/secret.png"):
        assert "which is outside" in refusal(listing(root, f"{path},cat\n"))


def test_an_absolute_path_inside_is_as_good_as_a_relative_one(folder: Maker) -> None:
    root = folder(cat=2)
    assert list_label_file(listing(root, f"{root / 'cat/1.png'},cat\n")).train.title(0) == "cat/1.png"


def test_classes_that_differ_only_to_a_machine_are_refused(folder: Maker) -> None:
    root = folder(cat=3)
    for one, other in (("Cat", "cat"), ("caf\u00e9", "cafe\u0301")):
        file = listing(root, f"cat/0.png,{one}\ncat/1.png,{other}\ncat/2.png,{other}\n")
        with pytest.raises(DataError, match="Unicode"):
            open_dataset(str(file), val_fraction=0.5)


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "x" * 3000, "\u202eabc", "[bold]", "a/b", "$(id)"]
)
def test_ugly_classes_are_names_like_others(folder: Maker, name: str) -> None:
    root = folder(cat=4)
    file = listing(root, f"cat/0.png,{name}\ncat/1.png,{name}\ncat/2.png,b\ncat/3.png,b\n")
    assert name in open_dataset(str(file), val_fraction=0.5).train.classes


def test_files_that_are_missing_are_counted_and_named(folder: Maker) -> None:
    root = folder(cat=2)
    file = listing(root, "cat/0.png,cat\nnone.png,dog\n")
    with pytest.raises(DataError, match=r"1 of 2 files .*none\.png"):
        open_evaluation_split(str(file), classes=["cat", "dog"])


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=200).map(str.encode)))
def test_any_bytes_are_a_list_or_a_dataerror(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp()
    for name in ("any.csv", "any.jsonl", "any.parquet"):
        with suppress(DataError):
            list_label_file(listing(folder, content, name))


UGLY = st.sampled_from(
    [
        "",
        " ",
        "nan",
        "-1",
        "1.0",
        "01",
        "9" * 5000,
        "../x",
        "/",
        ".",
        "a/../..",
        "train",
        "x" * 300,
        "\0",
        '"',
        "\ud800",
    ]
) | st.text(st.characters(), max_size=6)
"""What stands in an unchecked cell; half characters among it, which JSON can hold."""
VALUE = UGLY | st.none() | st.booleans() | st.integers() | st.floats() | st.lists(UGLY, max_size=2)


def written_down(images: Images) -> bytes:
    names = [images.classes[label] for label in images.labels]
    return "".join(titles(images) + names).encode()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(UGLY, UGLY, UGLY), min_size=1, max_size=4), st.booleans())
def test_any_cells_are_a_list_or_a_dataerror(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], headed: bool
) -> None:
    lines = ["path,label,split"] * headed
    lines += [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    content = "\n".join(lines).encode("utf-8", "replace")
    with suppress(DataError):
        written_down(list_label_file(listing(tmp_path_factory.getbasetemp(), content, "cells.csv")).train)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.fixed_dictionaries({"path": VALUE, "label": VALUE}), min_size=1, max_size=4))
def test_any_values_are_a_list_or_a_dataerror(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]]
) -> None:
    content = "\n".join(map(json.dumps, rows))
    with suppress(DataError):
        written_down(list_label_file(listing(tmp_path_factory.getbasetemp(), content, "values.jsonl")).train)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"path": "a.png", "label": %s}' % ("9" * 5000), "is no JSON"),
        ('{"path": "a.png", "label": %s}' % ("[" * 100_000), "is no JSON"),
        ('{"path": "a.png", "label": ["a"]}', "several labels"),
        ('{"path": "\\ud800.png", "label": "a"}', "no file"),
        ('{"path": "a.png", "label": "\\ud800"}', "no text"),
    ],
    ids=["digits", "depth", "labels", "half a path", "half a label"],
)
def test_json_that_python_chokes_on_is_refused(tmp_path: Path, row: str, message: str) -> None:
    error = refusal(listing(tmp_path, row, "labels.jsonl"))
    assert "labels.jsonl row 1" in error
    assert message in error


def test_long_numbers_are_ordered_by_value(tmp_path: Path) -> None:
    long = "9" * 5000
    label_list = list_label_file(listing(tmp_path, f"a.png,{long}\nb.png,10\nc.png,9\nd.png,010\n"))
    assert label_list.train.classes == ("9", "010", "10", long)


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1, max_size=20)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=8), st.randoms())
def test_what_is_accepted_is_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], chance: object
) -> None:
    folder = tmp_path_factory.getbasetemp()
    quoted = [[cell.replace('"', '""') for cell in row] for row in rows]
    file = listing(folder, "path,label\n" + "".join(f'"{a}","{b}"\n' for a, b in quoted))
    try:
        images = list_label_file(file).train
    except DataError:
        return
    rows = [row for row in rows if any(cell.strip() for cell in row)]  # the others are blank lines
    assert len(images) == len(rows)
    labels = [images.classes[label] for label in images.labels]
    assert np.all([a == b.strip() or float(a) == float(b) for a, (_, b) in zip(labels, rows, strict=True)])
