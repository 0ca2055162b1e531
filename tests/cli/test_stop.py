"""Ctrl-C ends a command in a line and a number."""

from pathlib import Path

import pytest
import typer

from command import complaint, python
from residua import cli


def test_ctrl_c_is_said_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app = typer.Typer()

    @app.command()
    def wait() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", app)
    monkeypatch.setattr("sys.argv", ["residua"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert (left.value.code, capsys.readouterr().err) == (130, "residua: stopped before it was done\n")


def test_ctrl_c_while_a_module_is_imported_is_said_at_once(tmp_path: Path) -> None:
    """An exception there ends compiled modules, torch's among them, by an abort."""
    (tmp_path / "heavy.py").write_text(
        "import os, signal\ntry: os.kill(os.getpid(), signal.SIGINT)\nfinally: 1 / 0"
    )
    text = """
import signal, sys, typer
from residua import cli
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, ".")
app = typer.Typer()
@app.command()
def work() -> None:
    import heavy
cli.app, sys.argv = app, ["residua"]
cli.main()
"""
    assert complaint(python("-c", text, cwd=tmp_path), 130) == "residua: stopped before it was done"
