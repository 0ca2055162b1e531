"""Commands in two processes, begun by our launcher or by torchrun."""

import os
import signal
from pathlib import Path
from typing import Any

from command import LIMIT, start, wait_for
from process_server import ForkedProcess
from ranks import children_of, lives

TWO = ("--processes", 2)


def launched(*words: object, module: str = "residua", **options: Any) -> ForkedProcess:
    """Two processes that our own launcher begins."""
    return start(*words, *TWO, module=module, **options)


def torchrun(*words: object, restarts: int = 2, module: str = "residua", **options: Any) -> ForkedProcess:
    """Two processes that torchrun begins, and begins anew so often."""
    launcher = ("--standalone", "--nproc-per-node", 2, "--max-restarts", restarts, "-m", module)
    return start(*launcher, *words, module="torch.distributed.run", **options)


def begun(run: Path, process: ForkedProcess) -> list[int]:
    """The ranks of `process`, once they have saved three states."""
    wait_for(run, "checkpoints/state-*[3-9].safetensors", process)
    return sorted(children_of(process.pid))


def send(ranks: list[int], number: signal.Signals) -> None:
    """A signal for those that are left."""
    for rank in filter(lives, ranks):
        os.kill(rank, number)


def ended(process: ForkedProcess) -> str:
    """What it printed, once it has ended well."""
    out, error = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, out + error
    return out
