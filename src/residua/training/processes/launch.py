"""Starts the processes of a run on this machine and keeps them going: torch's elastic agent, set for us."""

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
"""How often a run whose processes die is started anew: more would only repeat what kills them."""
SAVING_SECONDS = 60
"""How long the processes may take to save after Ctrl-C."""


def launch(words: Sequence[str], processes: int, *, logs: Path) -> int:
    """Run `residua WORDS` in `processes` processes as one world until all end well; 0.

    When one dies or stalls, all are started anew, at most `RESTARTS` times; ProcessesDiedError when that does not
    help. Asked to stop, they are told, and 128 + the signal is returned. `logs` is a folder for the agent;
    what its environment must hold stands in `cli/processes.py`.
    """
    for name in (
        "torch.distributed.elastic",
        "torch.distributed.elastic.agent.server.api",
    ):  # of its own level
        logging.getLogger(name).setLevel(logging.CRITICAL)
    is_deaf = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # by `nohup`: the end of a terminal is none
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
        signals_to_handle="SIGINT,SIGTERM" if is_deaf else "SIGINT,SIGTERM,SIGHUP",
        shutdown_timeout=SAVING_SECONDS,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "residua", *words)
    except SignalException as error:
        return 128 + error.sigval
    except ChildFailedError as error:
        number, first = min(error.failures.items(), key=lambda pair: pair[1].timestamp)
        times = f"the processes died {RESTARTS + 1} times, at last process {number}"
        raise ProcessesDiedError(
            f"{times} with exit code {first.exitcode}: look for its lines above"
        ) from None
    return 0
