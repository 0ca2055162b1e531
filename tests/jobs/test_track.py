"""Curves for TensorBoard, read back with its own reader."""

from pathlib import Path

import pytest

from residua.errors import ConfigError
from residua.events import EpochRow, Event, Note, StepProgress
from residua.jobs import track
from residua.jobs.track import FOLDER, check, tracked

EVENTS: list[Event] = [
    Note("hello"),
    StepProgress(19, 40, 0.9, 0.1, 100.0, 3.0),
    StepProgress(20, 40, 0.8, 0.1, 110.0, 2.0),
    EpochRow({"epoch": 1, "step": 20, "lr": 0.1, "test_error": 12.5, "images_per_second": None}, 2),
]


def test_every_event_is_passed_on_and_curves_are_written(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    heard: list[Event] = []
    with tracked(tmp_path, heard.append, ["tensorboard"]) as listen:
        for event in EVENTS:
            listen(event)
    assert heard == EVENTS
    accumulator = EventAccumulator(str(tmp_path / FOLDER))
    accumulator.Reload()
    curves = {
        name: [(p.step, round(p.value, 4)) for p in accumulator.Scalars(name)]
        for name in accumulator.Tags()["scalars"]
    }
    assert curves == {
        "step/loss": [(20, 0.8)],
        "step/lr": [(20, 0.1)],
        "step/images_per_second": [(20, 110.0)],
        "epoch/lr": [(20, 0.1)],
        "epoch/test_error": [(20, 12.5)],
    }


def test_without_a_tool_nothing_is_written(tmp_path: Path) -> None:
    with tracked(tmp_path, lambda _: None, []) as listen:
        listen(EVENTS[1])
    assert list(tmp_path.iterdir()) == []


def test_a_tool_that_is_unknown_or_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check([])
    check(["tensorboard"])
    with pytest.raises(ConfigError, match=r"'wandb'.*tensorboard"):
        check(["wandb"])
    monkeypatch.setattr(track, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'residua\[track\]'"):
        check(["tensorboard"])
