"""How processes part when the one that keeps their notes stands still."""

from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from torch import nn

from ranks import begin, end
from residua.errors import ConfigError, PeerFailedError, PeerLostError
from residua.training.processes import failure
from residua.training.processes.failure import call_within, propagate_failure
from residua.training.processes.world import STALL, World, process_group


class Silent:
    """A store whose process was stopped: nothing it is asked comes back."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.over = Event()

    def check(self, _keys: list[str]) -> bool:
        self.asked.append("check")
        return self.over.wait(30)

    def add(self, _key: str, _amount: int) -> int:
        self.asked.append("add")
        self.over.wait(30)
        return 1


@pytest.fixture
def silent() -> Any:
    store = Silent()
    yield store
    store.over.set()


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (
            RuntimeError("Timed out waiting 25000ms for recv operation to complete"),
            PeerLostError,
            "died or stalls",
        ),
        (ValueError("depth 57 is not 6n+2"), ValueError, "depth 57 is not 6n+2"),
    ],
)
def test_who_fails_leaves_though_nobody_keeps_the_notes(
    silent: Silent, error: Exception, kind: type, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failure, "STORE_SECONDS", 0.2)
    result = propagate_failure(error, silent, rank=1, size=2, seconds=1.0)
    assert silent.asked == ["check"]
    assert type(result) is kind
    assert said in str(result)


def test_who_waits_for_a_process_that_stands_still_does_not_wait_for_ever(
    silent: Silent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STALL, "0.2")
    world: Any = World(rank=1, size=2, store=silent)  # type: ignore[arg-type]
    with pytest.raises(PeerLostError, match=r"process 0 .* 0\.2 s: `residua resume`"):
        world.barrier()


def test_within_its_time_an_answer_or_an_error_comes_back_as_it_is() -> None:
    assert call_within(30, lambda: 0) == 0
    with pytest.raises(KeyError, match="left"):
        call_within(30, lambda: {}["left"])


@pytest.mark.parametrize("seconds", ["soon", "0", "-1", "nan", "inf"])
def test_patience_is_a_number_of_seconds(seconds: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "WORLD_SIZE": "2",
        "RANK": "0",
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": "1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(STALL, seconds)
    with pytest.raises(ConfigError, match=f"{STALL} is '{seconds}'.*above 0"), process_group():
        pass


def test_an_error_in_a_step_ends_all_processes_and_process_0_reports_it(tmp_path: Path) -> None:
    def learn(rank: int) -> None:
        try:
            with process_group() as world:
                learner = world.data_parallel(nn.Linear(2, 2))
                for step in range(3):
                    if (rank, step) == (1, 2):
                        raise KeyError("nobody")
                    learner(torch.ones(1, 2)).sum().backward()
        except PeerFailedError as error:
            (tmp_path / str(rank)).write_text(f"{error.silent} {error}")

    assert end(begin(2, learn, stall=2.0)) == [0, 0]
    messages = [(tmp_path / str(rank)).read_text() for rank in range(2)]
    assert messages == ["False process 1: 'nobody'", "True 'nobody'"]
