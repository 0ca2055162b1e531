"""The launcher: starts the processes of a run on this machine and restarts them, by torch's elastic agent.

all end well           exit code 0
one dies or stalls     the others notice (failure.py), all end, the agent restarts them, at most RESTARTS
                       times
SIGINT, SIGTERM        the agent passes it on; the processes save within SAVING_SECONDS
"""

import logging
import signal
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from residua.errors import ProcessesDiedError

RESTARTS = 5
"""Restarts of a run whose processes die: more would only repeat the cause."""
SAVING_SECONDS = 60
"""Time that the processes have to save after Ctrl-C; 30 with torch 2.11."""


def launch(words: Sequence[str], processes: int, *, logs: Path) -> int:
    """Run a command in several processes until all end well, or until the user asks to stop.

    Args:
        words: The words of the command after `residua`.
        processes: Number of processes.
        logs: A folder for the files of the agent.

    Returns:
        0, or 128 + the signal that asked to stop. `cli/processes.py` sets the environment, and turns the
        result into the exit code of the command.

    Raises:
        ProcessesDiedError: The processes died again after RESTARTS restarts.
    """
    for name in (
        "torch.distributed.elastic",
        "torch.distributed.elastic.agent.server.api",
    ):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    hangup = getattr(signal, "SIGHUP", None)  # no signal of Windows
    handles_hangup = hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN  # as under `nohup`
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        run_id=uuid.uuid4().hex,
        max_restarts=RESTARTS,
        monitor_interval=0.2,
        logs_specs=DefaultLogsSpecs(log_dir=str(logs)),
        signals_to_handle="SIGINT,SIGTERM,SIGHUP" if handles_hangup else "SIGINT,SIGTERM",
    )
    if hasattr(config, "shutdown_timeout"):  # torch 2.11 always gives 30 seconds
        config.shutdown_timeout = SAVING_SECONDS
    try:
        elastic_launch(config, sys.executable)("-m", "residua", *words)
    except SignalException as error:
        return 128 + error.sigval
    except ChildFailedError as error:
        rank, failure = min(error.failures.items(), key=lambda pair: pair[1].timestamp)
        raise ProcessesDiedError(
            f"the processes died {RESTARTS + 1} times, at last process {rank} with exit code "
            f"{failure.exitcode}: see its messages above"
        ) from None
    return 0
