"""Work goes on where its output is not read, and signals are heard at any moment."""

import errno
import io
import os
import re
import signal
from collections.abc import Iterator

import pytest
from rich.console import Console

from residua.cli.failures import STOPPED
from residua.cli.progress import Stopper
from residua.cli.train import _begin
from residua.cli.unbroken_output import UnbrokenOutput


class Full(io.StringIO):
    """A file that takes nothing."""

    def write(self, _text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_an_output_that_takes_nothing_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    to = Console(file=UnbrokenOutput(Full()))
    to.print("a line")
    to.print("another")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert re.match(r"residua: .*\(No space left", line)


def test_a_pipe_without_a_reader_is_left_for_good(capsys: pytest.CaptureFixture[str]) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        os.close(reading)
        to = Console(file=UnbrokenOutput(pipe))
        to.print("a line")
        to.print("another")
    error = capsys.readouterr().err
    assert error.startswith("residua: ")
    assert "(Broken pipe)" in error
    assert error.count("\n") == 1


@pytest.fixture
def handlers() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}  # as pytest was started
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_a_terminal_that_closes_twice_is_no_second_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)
    to = Console(file=io.StringIO())
    stopper = Stopper(to)
    for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM):
        os.kill(os.getpid(), number)
    assert stopper()
    assert left == []
    os.kill(os.getpid(), signal.SIGINT)
    assert left == [128 + signal.SIGINT]


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_before_training_begins_a_signal_asks_for_the_same_again(
    number: signal.Signals, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)
    _begin([])
    os.kill(os.getpid(), number)
    assert left == [STOPPED]
    out = capsys.readouterr().out
    assert "nothing was trained" in out
    assert out.count("\n") == 1


@pytest.mark.usefixtures("handlers")
def test_nohup_is_respected() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _begin([])
    stopper = Stopper(Console(file=io.StringIO()))
    os.kill(os.getpid(), signal.SIGHUP)
    assert not stopper()


@pytest.mark.usefixtures("handlers")
def test_a_signal_in_the_middle_of_a_line_is_heard_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    to = Console(file=io.StringIO())

    def reentrant(*_words: object) -> None:
        raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stdout>'>")

    stopper = Stopper(to)
    monkeypatch.setattr(to, "print", reentrant)
    os.kill(os.getpid(), signal.SIGTERM)
    assert stopper()
