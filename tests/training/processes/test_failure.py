"""How processes part when the one that keeps their notes stands still."""

import time
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from torch import nn

from ranks import begin, end
from residua.errors import PeerFailedError, PeerLostError
from residua.training.processes import failure
from residua.training.processes.failure import part, within
from residua.training.processes.world import STALL, World, joined


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
    monkeypatch.setattr(failure, "ANSWER_SECONDS", 0.2)
    begun = time.monotonic()
    found = part(error, silent, rank=1, size=2, close=lambda: None)
    assert time.monotonic() - begun < 10
    assert silent.asked == ["check"]
    assert type(found) is kind
    assert said in str(found)


def test_who_waits_for_a_process_that_stands_still_does_not_wait_for_ever(
    silent: Silent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STALL, "0.2")
    world: Any = World(rank=1, size=2, store=silent)  # type: ignore[arg-type]
    with pytest.raises(
        PeerLostError, match=r"process 0 of this run did not answer for 0.2 s: `residua resume`"
    ):
        world.meet()


def test_within_its_time_an_answer_or_an_error_comes_back_as_it_is() -> None:
    assert within(30, lambda: 0) == 0
    with pytest.raises(KeyError, match="left"):
        within(30, lambda: {}["left"])


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
    with pytest.raises(ValueError, match=f"{STALL} is '{seconds}': give seconds above 0"), joined():
        pass


def test_an_error_while_they_learn_is_told_at_once_and_by_process_0_alone(tmp_path: Path) -> None:
    def learn(rank: int) -> None:
        try:
            with joined() as world:
                learner = world.spread(nn.Linear(2, 2))
                for step in range(3):
                    if (rank, step) == (1, 2):
                        raise KeyError("nobody")
                    learner(torch.ones(1, 2)).sum().backward()
        except PeerFailedError as error:
            (tmp_path / str(rank)).write_text(f"{error.silent} {error}")

    begun = time.monotonic()
    assert end(begin(2, learn)) == [0, 0]
    assert time.monotonic() - begun < failure.PARTING_SECONDS
    told = [(tmp_path / str(rank)).read_text() for rank in range(2)]
    assert told == ["False process 1: 'nobody'", "True 'nobody'"]
