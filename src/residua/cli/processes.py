"""A command in several processes: which one prints, which one launches, and the exit code of all."""

import os
import sys
from contextlib import suppress
from pathlib import Path

import typer

ENDED = "RESIDUA_ENDED"
"""Environment variable: the folder where launched processes write their exit codes."""


def speaks() -> bool:
    """Whether this process prints: it is the only one, or rank 0."""
    return not is_one_of_many() or os.environ.get("RANK", "0") == "0"


def is_one_of_many() -> bool:
    """Whether a launcher started this process as one of several."""
    return os.environ.get("WORLD_SIZE", "1") != "1"


def may_restart() -> bool:
    """Whether the launcher may restart this command."""
    return is_one_of_many() and os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0"


def launch_if_asked(processes: int, *more: str) -> None:
    """When more than one process is wanted and this is none of them, launch them and leave with their code.

    They get the words of this command and `more`.
    """
    if processes == 1 or is_one_of_many():
        return
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"  # docs/how-to/many-gpus.md says why
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # its warnings of lost peers are pages long
    import tempfile

    from residua.training.processes.launch import launch
    from residua.training.processes.world import available_cores

    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, available_cores() // processes)))
    with tempfile.TemporaryDirectory(prefix="residua-") as folder:
        os.environ[ENDED] = folder
        signal = launch([*sys.argv[1:], *more], processes, logs=Path(folder) / "agent")
        codes = [int(path.read_text()) for path in sorted(Path(folder).glob("code-*"))]
    raise typer.Exit(codes[0] if codes else signal)


def ended(code: int) -> bool:
    """Record for a launcher that this process ends with `code` and needs no restart; whether there is one."""
    if folder := os.environ.get(ENDED):
        with suppress(OSError):  # it may be gone
            (Path(folder) / f"code-{int(os.environ.get('RANK', '0')):06d}").write_text(str(code))
            return True
    return False
