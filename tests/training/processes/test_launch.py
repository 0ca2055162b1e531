"""The launcher of several processes: what it says, and what it leaves to others."""

import logging
import signal
from pathlib import Path

import pytest
from torch.distributed.elastic.agent.server import api
from torch.distributed.elastic.multiprocessing import SignalException

from residua.training.processes import launch


def test_asked_to_stop_the_agent_says_nothing_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def agent(*_words: str) -> None:
        api.logger.warning("Received %s death signal, shutting down workers", signal.SIGINT)
        raise SignalException("stopped", sigval=signal.SIGINT)

    monkeypatch.setattr(launch, "elastic_launch", lambda *_: agent)
    monkeypatch.setattr(logging.getLogger("torch.distributed.elastic"), "level", logging.NOTSET)
    monkeypatch.setattr(api.logger, "level", logging.WARNING)
    api.logger.manager._clear_cache()  # type: ignore[attr-defined]
    with caplog.at_level(logging.DEBUG):
        assert launch.launch(["train"], 2, logs=tmp_path) == 128 + signal.SIGINT
    assert not caplog.records
