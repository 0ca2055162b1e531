"""Characters that steer a terminal, reorder text or have no shape are shown as escapes everywhere."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from residua.cli import terminal
from residua.cli.failures import explain
from residua.errors import DataError
from residua.report import chart, page
from residua.spec.printable import printable

BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
HIDDEN = BIDI + "\u200b\u200c\u200d\u2060\ufeff\u00ad\u3164\u2028\u2029\x00\x1b\x7f\x9b\t\r\ud800\U000e0041"
PLAIN = "cat/Ünïcode-日本語 مرحبا 🐈.png (3) \N{NO-BREAK SPACE}%\n"


@pytest.mark.parametrize("char", HIDDEN, ids=lambda char: f"{ord(char):04x}")
def test_a_character_without_a_shape_is_escaped(char: str) -> None:
    shown = printable(f"a{char}b")
    assert shown == "a" + char.encode("unicode_escape").decode() + "b"
    assert shown.isascii()


def test_text_that_can_be_seen_stays() -> None:
    assert printable(PLAIN) == PLAIN


@given(st.text())
def test_nothing_is_left_that_steers(text: str) -> None:
    shown = printable(text)
    assert not [c for c in shown if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert printable(shown) == shown


def test_a_report_and_its_drawings_show_escapes() -> None:
    name = f"a{HIDDEN}b"
    drawing = page.Figure(
        chart.plot((chart.Series(name, ((1, 1), (2, 2)), "both"),), x=name, y=""), name, name
    )
    parts = (page.Text((name,)), page.Table((name,), ((name,),), name), page.Code(name, name), drawing)
    shown = page.render(page.Page(name, name, (page.Section(name, parts),), name))
    assert not [char for char in HIDDEN if char in shown.replace("\t", "")]
    assert shown.count(r"a\u202a\u202b") >= 12


def test_a_terminal_and_error_lines_show_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    name = f"a{HIDDEN}b"
    to = Console(soft_wrap=True, width=1000)
    terminal.say(to, name)
    terminal.show_table(to, (name,), [(name,)], width=1000)
    explain(DataError(f"{name} is not an image"))
    shown = capsys.readouterr()
    assert not [char for char in HIDDEN if char in shown.out + shown.err]
    assert (shown.out.count(r"\u202e"), shown.err.count(r"\u202e")) == (3, 1)


def test_a_narrow_table_breaks_a_long_name_and_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    name = "average.bn_recalibration_images"
    terminal.show_table(Console(), ("field", "meaning"), [(name, "of a long name " * 9)], width=40)
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert name in "".join(line.split()[0] for line in shown.splitlines()[1:] if not line.startswith(" "))


def test_json_holds_the_name_in_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.put_json({"file": "\u202egpj.exe"})
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == {"file": "\u202egpj.exe"}
    terminal.put_json({"file": "日本"})
    assert "日本" in capsys.readouterr().out
