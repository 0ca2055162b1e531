"""The process that computes for the lab: what comes back, and how it ends."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from residua.errors import ConfigError, ResourceError
from residua.lab.compute_process import ComputeProcess
from residua.spec.word import check_word

SCRIPT = (
    "import os; from residua.lab.compute_process import ComputeProcess;"
    "print(ComputeProcess().call(os.getpid), flush=True); os.kill(os.getpid(), 9)"
)
"""A server that is killed while its process waits for a call."""


@pytest.fixture
def process() -> Iterator[ComputeProcess]:
    process = ComputeProcess()
    yield process
    process.close()


def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


def has_ended(number: int) -> bool:
    return not psutil.pid_exists(number) or psutil.Process(number).status() == psutil.STATUS_ZOMBIE


def test_value_and_errors_of_a_function_come_back(process: ComputeProcess) -> None:
    assert process.call(divmod, 7, 2) == (3, 1)
    with pytest.raises(ConfigError, match="NXC"):
        process.call(check_word, "(NXC)")  # its class takes a position, too
    with pytest.raises(FileNotFoundError) as missing:
        process.call(os.stat, "/missing")
    assert missing.value.strerror
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        process.call(divmod, 1, 0)
    number = process.call(os.getpid)
    assert number == process.call(os.getpid) != os.getpid()


def test_killed_process_fails_one_call_with_a_line_and_is_replaced(process: ComputeProcess) -> None:
    first = process.call(os.getpid)
    with pytest.raises(ResourceError, match="signal 9"):
        process.call(os.kill, first, signal.SIGKILL)
    assert process.call(os.getpid) != first


def test_idle_process_ends_and_the_next_call_starts_another() -> None:
    process = ComputeProcess(idle_seconds=0.05)
    first = process.call(os.getpid)
    until(lambda: has_ended(first))
    assert process.call(os.getpid) != first
    process.close()


def test_close_ends_a_call_that_goes_on(process: ComputeProcess) -> None:
    number, errors = process.call(os.getpid), []

    def sleep() -> None:
        try:
            process.call(time.sleep, 100)
        except ResourceError as error:
            errors.append(error)

    thread = threading.Thread(target=sleep)
    thread.start()
    time.sleep(0.1)
    process.close()
    thread.join(30)
    assert len(errors) == 1
    assert has_ended(number)
    with pytest.raises(ResourceError, match="stopping"):
        process.call(os.getpid)


def test_process_ends_with_a_server_that_is_killed() -> None:
    output = subprocess.run([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True).stdout
    number = int(output)
    until(lambda: has_ended(number))
