"""Ctrl-C ends a command in a line and a number."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from command import complaint, python
from residua import __main__, cli
from residua.cli.failures import explain
from small import photo_folder


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
    error = capsys.readouterr().err
    assert left.value.code == 130
    assert error.startswith("residua: interrupted")
    assert error.count("\n") == 1


def test_ctrl_c_before_the_command_line_is_imported_is_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "residua.cli")
    monkeypatch.setattr(sys, "meta_path", [SimpleNamespace(find_spec=interrupt)])
    with pytest.raises(SystemExit) as left:
        __main__.main()
    assert left.value.code == 130
    assert capsys.readouterr().err.startswith("residua: interrupted")


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
    assert "interrupted" in complaint(python("-c", text, cwd=tmp_path), 130)


STANDS_STILL = """
import os, signal, sys
from multiprocessing import get_context
from residua import cli
from residua.cli.failures import explain
from residua.data.worker_monitor import WorkerDiedError

def app(*_, **__):
    worker = get_context("fork").Process(target=lambda: os.kill(os.getpid(), signal.SIGSTOP), daemon=True)
    worker.start()
    os.waitid(os.P_PID, worker.pid, os.WSTOPPED)
    raise WorkerDiedError("it died or hung")

cli.app = app
cli.main()
"""


def test_a_worker_that_stands_still_keeps_no_command_from_ending() -> None:
    done = python("-c", STANDS_STILL, timeout=30)
    assert done.returncode == 7
    assert "died or hung" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_worker_that_died_unwaited_for_is_no_defect(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")) == 7
    line = capsys.readouterr().err
    for word in ("residua: ", "worker", "(pid 7)", "Killed", "free memory"):
        assert word in line


STOPS = """
import atexit, os, signal
calls = []
atexit.register = lambda function, *given: calls.append((function, given))
from residua.cli.progress import Stopper
from residua.cli.terminal import console

Stopper(console())
os.kill(os.getpid(), signal.SIGTERM)
assert signal.getitimer(signal.ITIMER_REAL) != (0.0, 0.0)
for function, given in calls:
    function(*given)
assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
"""


def test_no_alarm_rings_while_a_stopped_command_ends() -> None:
    """It would end the process by SIGALRM on a slow machine, instead of with 75."""
    done = python("-c", STOPS)
    assert done.returncode == 0, done.stderr


MEASURES = """
import os, signal, sys
from residua import cli
from residua.training import plan

plan.measure = lambda *_, **__: os.kill(os.getpid(), signal.SIGINT)
plan.load_measurement = lambda *_: None
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["residua", "train", "photos", "-m", "cifar_resnet20", "--epochs", "500", "-o", "run"]
cli.main()
"""


def test_ctrl_c_is_heard_while_the_plan_is_measured(tmp_path: Path) -> None:
    """And the lines of the data and the network are there by then."""
    photo_folder(tmp_path / "photos")
    done = python("-c", MEASURES, cwd=tmp_path)
    assert "interrupted" in complaint(done, 130)
    lines = done.stdout.splitlines()
    assert any(line.startswith("data ") for line in lines)
    assert lines[-1].startswith("timing ")
    assert not (tmp_path / "run").exists()
