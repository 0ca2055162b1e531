"""Edits of the table of a clean go back to the file, and to no other cell."""

from pathlib import Path

import pytest

from residua.curate.actions import read_actions
from residua.curate.sheet import SheetEdit, edit_sheet, read_sheet
from residua.errors import ConfigError

TABLE = (
    "path,label,suggested,score,reason,action,mine\r\n"
    "red/1.png,red,blue,0.0100,more likely blue,relabel,x\r\n"
    "'=2+2.png,blue,blue,0.9000,,keep,\r\n"
    '"a,b.png",green,green,,"same, as another",drop,\r\n'
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "clean.csv"
    file.write_bytes(TABLE.encode())
    return file


def test_rows_are_read_as_they_are_applied(table: Path) -> None:
    sheet = read_sheet(table)
    assert [row.path for row in sheet.rows] == list(read_actions(table))
    assert [row.score for row in sheet.rows] == [0.01, 0.9, None]
    assert sheet.classes == ("blue", "green", "red")


def test_edit_changes_its_row_alone(table: Path) -> None:
    edits = {"=2+2.png": SheetEdit("drop"), "a,b.png": SheetEdit("relabel", "red")}
    edit_sheet(table, edits, digest=read_sheet(table).digest)
    expected = TABLE.replace("0.9000,,keep", "0.9000,,drop")
    expected = expected.replace(
        'green,green,,"same, as another",drop', 'green,red,,"same, as another",relabel'
    )
    assert table.read_bytes().decode() == expected
    assert read_actions(table)["a,b.png"] == ("red", "relabel")


def test_table_keeps_its_delimiter_and_mark(table: Path) -> None:
    table.write_text(
        "\ufeffpath;label;suggested;score;reason;action\r\nx.png;a;b;0,5;;keep\r\n", "utf-8", newline=""
    )
    sheet = edit_sheet(table, {"x.png": SheetEdit("relabel")}, digest=read_sheet(table).digest)
    assert sheet.rows[0].score == 0.5
    assert table.read_text("utf-8").startswith("\ufeffpath;label")


@pytest.mark.parametrize(
    ("edits", "digest", "word"),
    [
        ({"red/1.png": SheetEdit("keep")}, "0", "changed"),
        ({"none.png": SheetEdit("keep")}, "", "none.png"),
        ({"red/1.png": SheetEdit("relabel", "yellow")}, "", "yellow"),
        ({"red/1.png": SheetEdit("delete")}, "", "delete"),
    ],
)
def test_wrong_edit_changes_nothing(table: Path, edits: dict[str, SheetEdit], digest: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        edit_sheet(table, edits, digest=digest or read_sheet(table).digest)
    assert table.read_bytes().decode() == TABLE
