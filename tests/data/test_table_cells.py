"""Names that a spreadsheet would take for formulas: protected in every table, and read back as they were."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from residua.curate.actions import SUMMARY, CleanSplit, suggest_actions
from residua.curate.apply import apply
from residua.curate.folds import FoldPredictions
from residua.data.listing import split_listing
from residua.data.open import find
from residua.data.scan import scan
from residua.data.sources.labels import list_label_file
from residua.data.table_cells import csv_text, protect, unprotect
from residua.jobs.tables import save_table
from residua.runs.run import Run
from residua.tasks.run_data import list_quarantined
from small import photo_folder

FORMULAS = ("=1+1", "+1", "-x.png", "@a.png", "\tcat", "\rcat", "\ncat", "\uff1dSUM(A1)")
PLAIN = ("cat", "", "'cat", "a=b", "cat/-x.png", " =1", "é")


def hostile_folder(root: Path) -> Path:
    """Two classes, of which one, and all of whose files, begin like formulas."""
    photo_folder(root, count=6, colours=("red", "blue"))
    (root / "red").rename(root / "=1+1")
    for file in sorted((root / "=1+1").iterdir()):
        file.rename(file.with_name(f"-{file.name}"))
    return root


def cells(text: str) -> list[str]:
    return [cell for row in csv.reader(text.splitlines()) for cell in row]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_written_after_an_apostrophe(text: str) -> None:
    assert protect(text) == f"'{text}"


@pytest.mark.parametrize("cell", [*PLAIN, -1.5, -1, None, True])
def test_other_text_and_numbers_stay(cell: object) -> None:
    assert protect(cell) is cell


@given(st.text(st.sampled_from("'=+-@\t\r\n\uff1da "), max_size=5))
def test_every_text_comes_back(text: str) -> None:
    assert unprotect(protect(text)) == text
    assert not protect(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


def test_numbers_stay_numbers_in_csv() -> None:
    assert csv_text([("-x", -0.5, None)]) == "'-x,-0.5,\r\n"


def test_the_table_of_a_clean_is_applied_to_the_true_names(tmp_path: Path) -> None:
    root = hostile_folder(tmp_path / "photos")
    train, test, _ = split_listing(find(str(root)), val_fraction=0.2)
    files, empty = scan((train,), workers=0), FoldPredictions.empty(len(train), 2)
    result = suggest_actions(str(root), CleanSplit(train, len(train), test.name), files, ([], []), empty, ())
    table = tmp_path / "clean.csv"
    table.write_text(result.csv().replace(",keep", ",relabel"), newline="")
    (tmp_path / SUMMARY).write_text(json.dumps({"source": str(root)}))
    assert not [cell for cell in cells(table.read_text()) if cell.startswith(("=", "-", "@", "+"))]
    assert "'=1+1" in cells(table.read_text())

    summary = apply(table, root / "kept.csv")
    assert (summary.unchanged, summary.new) == (len(train), len(test))
    read = list_label_file(root / "kept.csv").train
    assert read.classes == ("=1+1", "blue")
    assert {read.title(i) for i in range(len(read))} == {train.title(i) for i in range(len(train))}
    assert read.image(0, "rgb").size == (12, 12)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_predictions_are_protected_and_read_as_labels(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    (tmp_path / "-x.png").touch()
    rows = [("-x.png", "=1+1", -0.5, None), ("@a.png", "b", 0.25, None)]
    save_table(tmp_path / f"out{suffix}", ("file", "class", "score", "error"), rows, values=[])
    if suffix == ".csv":
        assert "'-x.png,'=1+1,-0.5," in (tmp_path / "out.csv").read_text()
    else:
        import pyarrow.parquet as parquet

        table = parquet.read_table(tmp_path / "out.parquet").to_pydict()
        assert (table["file"], table["score"]) == (["'-x.png", "'@a.png"], [-0.5, 0.25])
    images = list_label_file(tmp_path / f"out{suffix}").train
    assert [images.title(i) for i in range(2)] == ["-x.png", "@a.png"]
    assert np.array(images.classes)[images.labels].tolist() == ["=1+1", "b"]


def test_json_lines_hold_the_names_themselves(tmp_path: Path) -> None:
    values = [{"file": "-x.png", "class": "=1+1"}]
    save_table(tmp_path / "out.jsonl", ("file", "class"), [], values=values)
    images = list_label_file(tmp_path / "out.jsonl").train
    assert (images.title(0), images.classes) == ("-x.png", ("=1+1",))


def test_a_quarantine_is_protected(tmp_path: Path) -> None:
    list_quarantined(Run(tmp_path), {"=1/@a.png": "-1"})
    assert "'=1/@a.png,'-1" in (tmp_path / "quarantine.csv").read_text()
