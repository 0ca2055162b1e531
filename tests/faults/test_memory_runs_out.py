"""No memory left: one line and exit code 7, the last state survives, and no temporary file is left."""

import os
import resource
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
import torch

from residua.cli.failures import explain
from residua.nn.network import Network, build
from residua.runs import checkpoint
from residua.runs.checkpoint import Progress
from residua.runs.run import Run
from residua.spec import zoo
from residua.tasks.classify.learn_task import ClassifyLearn
from residua.training import loop
from residua.weights import store

LEAST = 64 << 20
"""Bytes that saving may need besides the state (promise P12)."""


def in_child(act: Callable[[], int]) -> int:
    """The exit code of a forked process that runs `act`, or minus the signal that ended it."""
    child = os.fork()
    if not child:
        code = 250
        try:
            code = act()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def used() -> int:
    """Bytes of address space of this process."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def save_within(
    extra: int, folder: Path, network: Network, optimizer: torch.optim.Optimizer, *, step: int
) -> int:
    """Save a state with `extra` bytes of memory left, 0 for pieces of less than 256 KiB alone.

    Returns 0, or the code of the error.
    """
    resource.setrlimit(resource.RLIMIT_AS, (used() + extra, resource.RLIM_INFINITY))
    held = []
    with suppress(MemoryError):
        while not extra:
            held.append(bytearray(1 << 18))  # what was freed before is memory that is left, too
    try:
        checkpoint.save(folder, network, optimizer, Progress(step))
    except Exception as error:
        return explain(error)
    return 0


def test_a_state_is_saved_within_64_mib_and_without_memory_the_last_one_survives(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    network = build(zoo.arch("resnet18")).to(memory_format=torch.channels_last)
    network.class_names = ()
    optimizer = torch.optim.SGD(network.parameters(), 0.1, 0.9)
    for weight in network.parameters():
        optimizer.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
    torch.set_num_threads(1)
    path = tmp_path / "state-000000001.safetensors"
    assert in_child(lambda: save_within(LEAST, tmp_path, network, optimizer, step=1)) == 0
    before = path.read_bytes()
    assert len(before) > LEAST
    assert in_child(lambda: save_within(0, tmp_path, network, optimizer, step=2)) == 7
    assert "memory" in capfd.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == before
    checkpoint.load_weights(path, "auto")


NO_MEMORY = (
    MemoryError(),
    MemoryError("Unable to allocate 3 GiB for an array"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("std::bad_alloc"),
)


PLACES = {"loss": (ClassifyLearn, "loss_fn"), "backward": (loop, "backward"), "write": (store, "_write")}


@pytest.mark.parametrize("error", NO_MEMORY, ids=str)
@pytest.mark.parametrize("place", PLACES)
def test_without_memory_a_run_ends_with_code_7_and_its_last_state(
    place: str,
    error: Exception,
    trained: Callable[..., Run],
    short: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    owner, name = PLACES[place]
    act, calls = getattr(owner, name), count(1)

    def fail(*_: object) -> None:
        raise error

    def failing(*given: object) -> object:
        return fail() if next(calls) == 4 else act(*given)

    monkeypatch.setattr(owner, name, (lambda *_: fail) if place == "loss" else failing)
    with pytest.raises((MemoryError, RuntimeError)) as caught:
        trained(tmp_path / "run", recipe=short)
    assert explain(caught.value) == 7
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "memory" in line or "allocate" in line
    run = Run(tmp_path / "run")
    assert not list(run.path.rglob("*.tmp"))
    assert bool(checkpoint.load_last(run.checkpoints)) == (place != "loss")
